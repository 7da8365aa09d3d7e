/** The prompts and answers of a conversation. Each answer grows piece by piece; the pieces have numbers, so none is shown twice. */

import { sentenceOf } from "./api.js";
import { time } from "./format.js";
import { Markdown } from "./markdown.js";
import { element, parts, say } from "./parts.js";
import { has, t } from "./text.js";

const NEAR_END_PX = 80;

const template = document.getElementById("turn");

/** The text of what a client said: a text, or parts. */
const textOf = ({ content }) => (typeof content === "string" ? content : (content ?? []).map((part) => part.text).join(""));
const promptOf = (messages) => messages.filter(({ role }) => role === "user").map(textOf).join("\n\n");

export class Turns {
  #list;
  #said;
  #onAgain;
  #turns = new Map();
  #draft = null;

  /** Shows in `list`; tells `said`, for screen readers, each finished block; calls `onAgain(prompt)` for the button. */
  constructor(list, said, onAgain) {
    this.#list = list;
    this.#said = said;
    this.#onAgain = onAgain;
  }

  /** Ids of the answers that are not ended. */
  get open() {
    return [...this.#turns.values()].filter(({ isOpen }) => isOpen).map(({ id }) => id);
  }

  /** Shows these turns instead of others. */
  replace(turns) {
    this.#turns.clear();
    this.#list.replaceChildren(...(this.#draft ? [this.#draft.row] : []));
    this.#said.replaceChildren();
    for (const turn of turns) this.add(turn);
  }

  /** Shows a prompt that the service does not have yet. */
  draft(prompt, model) {
    this.dropDraft();
    this.#draft = Object.assign(this.#view({ prompt, model, created: Date.now() / 1000 }), { promptText: prompt });
    this.#append(this.#draft);
  }

  dropDraft() {
    this.#draft?.row.remove();
    this.#draft = null;
  }

  /** The service has the draft, as this turn. */
  accept(id) {
    if (this.#turns.has(id)) this.dropDraft();
    else if (this.#draft) this.#draft.id = id;
  }

  /** A turn as the service tells it. One that is known stays as it is. */
  add({ id, model, created, messages = [], answer = null, status = "waiting", pieces = Infinity, error }) {
    if (this.#turns.has(id)) return;
    const prompt = promptOf(messages);
    const isDraft = this.#draft?.id === id || this.#draft?.promptText === prompt;
    if (isDraft) this.dropDraft();
    const view = Object.assign(this.#view({ prompt, model, created }), { id, pieces: status === "waiting" ? 0 : pieces });
    view.again.addEventListener("click", () => this.#onAgain(prompt));
    this.#turns.set(id, view);
    this.#append(view);
    if (isDraft) this.#goLive(view); // also what was answered before the stream was open
    if (answer?.content) this.#write(view, answer.content);
    this.#show(view, status, error);
  }

  begin(id) {
    const view = this.#turns.get(id);
    if (view?.isOpen) this.#show(view, "running");
  }

  /** Returns whether nothing is missing before these pieces. */
  grow(id, first, texts) {
    const view = this.#turns.get(id);
    if (!view || view.pieces < first) return false;
    const news = texts.slice(view.pieces - first).join("");
    view.pieces = Math.max(view.pieces, first + texts.length);
    if (view.isOpen) this.#show(view, "running");
    if (news) this.#write(view, news);
    return true;
  }

  end(id, status, error) {
    const view = this.#turns.get(id);
    if (view?.isOpen) this.#show(view, status, error);
  }

  #view({ prompt, model, created }) {
    const row = template.content.firstElementChild.cloneNode(true);
    const view = { row, isOpen: true, isLive: false, ...parts(row) };
    view.markdown = new Markdown(view.answer, (text) => view.isLive && this.#said.append(element("p", "", text)));
    say(view, { prompt, model, created: time(created * 1000), state: t("completions.answer.waiting") });
    return view;
  }

  #append(view) {
    this.#list.insertBefore(view.row, this.#draft && view !== this.#draft ? this.#draft.row : null);
    this.#scroll(Infinity);
  }

  #write(view, text) {
    this.#scroll(NEAR_END_PX);
    view.markdown.write(text);
  }

  /** Shows the end after what is written next, if it was that near. On a phone the whole page scrolls. */
  #scroll(near) {
    const scroller = this.#list.scrollHeight > this.#list.clientHeight ? this.#list : document.scrollingElement;
    if (scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < near) {
      requestAnimationFrame(() => (scroller.scrollTop = scroller.scrollHeight));
    }
  }

  /** Screen readers are told what is written from now on. */
  #goLive(view) {
    this.#said.replaceChildren();
    view.isLive = true;
  }

  #show(view, status, error) {
    view.isOpen = status === "waiting" || status === "running";
    view.row.dataset.status = status;
    if (view.isOpen && !view.isLive) this.#goLive(view);
    if (!view.isOpen) {
      view.markdown.end();
      view.isLive = false;
    }
    view.again.hidden = view.isOpen;
    const state = has(`completions.answer.${status}`) ? t(`completions.answer.${status}`) : "";
    say(view, { state: error && status === "failed" ? sentenceOf(error) : state });
  }
}
