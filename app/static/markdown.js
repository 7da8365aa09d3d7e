/** Markdown that comes in pieces, as elements. Nothing of it is read as HTML, and it loads nothing. */

import { copy } from "./copy.js";
import { element } from "./parts.js";
import { t } from "./text.js";
import * as smd from "./vendor/streaming-markdown/smd.min.js";

/** Other schemes, such as `javascript:`, stay text. */
const SCHEMES = ["http:", "https:", "mailto:"];
/** Headings are below those of the page. An image is a link: the page loads none from other places. */
const TAGS = {
  [smd.PARAGRAPH]: "p",
  [smd.HEADING_1]: "h3",
  [smd.HEADING_2]: "h4",
  [smd.HEADING_3]: "h5",
  [smd.HEADING_4]: "h6",
  [smd.HEADING_5]: "h6",
  [smd.HEADING_6]: "h6",
  [smd.BLOCKQUOTE]: "blockquote",
  [smd.RULE]: "hr",
  [smd.LINE_BREAK]: "br",
  [smd.ITALIC_AST]: "em",
  [smd.ITALIC_UND]: "em",
  [smd.STRONG_AST]: "strong",
  [smd.STRONG_UND]: "strong",
  [smd.STRIKE]: "s",
  [smd.CODE_INLINE]: "code",
  [smd.EQUATION_INLINE]: "code",
  [smd.EQUATION_BLOCK]: "pre",
  [smd.LINK]: "a",
  [smd.RAW_URL]: "a",
  [smd.IMAGE]: "a",
  [smd.LIST_UNORDERED]: "ul",
  [smd.LIST_ORDERED]: "ol",
  [smd.LIST_ITEM]: "li",
  [smd.TABLE]: "table",
  [smd.TABLE_ROW]: "tr",
};

/** Writes Markdown into an element. Calls `onBlock(text)` after each paragraph, list or other block. */
export class Markdown {
  #open;
  #parser;
  #onBlock;

  constructor(root, onBlock = () => {}) {
    this.#open = [root];
    this.#onBlock = onBlock;
    this.#parser = smd.parser({
      add_token: (_, token) => this.#begin(token),
      end_token: () => this.#end(),
      add_text: (_, text) => this.#open.at(-1).append(text),
      set_attr: (_, attribute, value) => SETTERS[attribute]?.(this.#open.at(-1), value),
    });
  }

  write(text) {
    smd.parser_write(this.#parser, text);
  }

  /** Writes what was held back, because it could have become more than text. */
  end() {
    smd.parser_end(this.#parser);
    while (this.#open.length > 1) this.#end();
  }

  #begin(token) {
    const parent = this.#open.at(-1);
    this.#open.push((MAKERS[token] ?? append)(parent, TAGS[token]));
  }

  #end() {
    const ended = this.#open.pop();
    if (this.#open.length === 1) this.#onBlock(ended.textContent);
  }
}

function append(parent, tag = "span") {
  return parent.appendChild(element(tag));
}

function appendCode(parent) {
  const block = append(parent, "figure");
  const bar = append(block, "figcaption");
  const code = element("code");
  const button = element("button", "", t("shell.copy"));
  button.type = "button";
  button.addEventListener("click", () => copy(code, button));
  bar.append(element("span"), button);
  block.className = "code";
  const scrolled = append(block, "pre");
  scrolled.tabIndex = 0; // so that the keyboard can scroll it
  scrolled.append(code);
  return code;
}

function appendCell(row) {
  const isHead = row.parentElement.rows[0] === row;
  return append(row, isHead ? "th" : "td");
}

function appendCheckbox(item) {
  return item.appendChild(Object.assign(element("input"), { type: "checkbox", disabled: true }));
}

const MAKERS = {
  [smd.CODE_BLOCK]: appendCode,
  [smd.CODE_FENCE]: appendCode,
  [smd.TABLE_CELL]: appendCell,
  [smd.CHECKBOX]: appendCheckbox,
};

const SETTERS = {
  [smd.HREF]: setAddress,
  [smd.SRC]: setAddress,
  [smd.LANG]: (code, name) => (code.closest("figure").querySelector("span").textContent = name),
  [smd.CHECKED]: (box) => (box.checked = true),
  [smd.START]: (list, number) => (list.start = number),
};

function setAddress(link, address) {
  if (!URL.canParse(address) || !SCHEMES.includes(new URL(address).protocol)) return;
  Object.assign(link, { href: address, target: "_blank", rel: "noopener noreferrer" });
}
