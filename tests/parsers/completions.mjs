// Asks a server with the clients that people have, and prints what each of them read: node completions.mjs <url> <token> <text> <longer text>
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { AbstractChat, DefaultChatTransport, streamText } from "ai";
import OpenAI from "openai";

const [url, token, text, long] = process.argv.slice(2);
const messages = [{ role: "user", content: text }];
const headers = { Authorization: `Bearer ${token}` };
const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: token, maxRetries: 0 });

/** What useChat keeps in React's state. */
class State {
  status = "ready";
  error = undefined;
  constructor(messages) {
    this.messages = messages;
  }
  pushMessage = (message) => this.messages.push(message);
  popMessage = () => this.messages.pop();
  replaceMessage = (index, message) => (this.messages[index] = this.snapshot(message));
  snapshot = (thing) => structuredClone(thing);
}

/** What useChat is without React. */
class Chat extends AbstractChat {
  constructor({ messages = [], ...options }) {
    const transport = new DefaultChatTransport({ api: `${url}/api/v1/completions/ui`, headers });
    super({ ...options, transport, state: new State(messages), onFinish: (end) => Object.assign(this, { end }), onError: () => {} });
  }
  get answer() {
    return this.lastMessage?.parts.map((part) => part.text ?? "").join("") ?? "";
  }
  /** Waits for an answer that has begun and not ended. */
  async begun() {
    for (;;) {
      if (this.lastMessage?.role === "assistant" && this.answer) return this.answer;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
  get told() {
    return { answer: this.answer, id: this.lastMessage?.id, status: this.status, reason: this.end?.finishReason, error: this.error?.message };
  }
}

const askers = {
  async openaiStream() {
    let said = "";
    let usage = null;
    for await (const chunk of await openai.chat.completions.create({ model: "echo", messages, stream: true, stream_options: { include_usage: true } })) {
      said += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    return { answer: said, tokens: usage.completion_tokens };
  },
  async openaiWhole() {
    const whole = await openai.chat.completions.create({ model: "echo", messages });
    const models = (await openai.models.list()).data.map((model) => model.id);
    return { answer: whole.choices[0].message.content, models };
  },
  async openaiHelper() {
    return { answer: await openai.chat.completions.stream({ model: "echo", messages }).finalContent() };
  },
  async openaiError() {
    const error = await openai.chat.completions.create({ model: "unknown", messages }).catch((error) => error);
    return { name: error.constructor.name, code: error.code };
  },
  async streamText() {
    const provider = createOpenAICompatible({ name: "simulcast", baseURL: `${url}/v1`, includeUsage: true, apiKey: token });
    const result = streamText({ model: provider("echo"), prompt: text });
    return { answer: await result.text, reason: await result.finishReason, tokens: (await result.usage).outputTokens };
  },
  async chat() {
    const chat = new Chat({ id: crypto.randomUUID() });
    await chat.sendMessage({ text });
    const first = chat.told;
    await chat.regenerate();
    return { first, again: chat.told, messages: chat.messages.length };
  },
  async resume() {
    const id = crypto.randomUUID();
    const left = new Chat({ id });
    left.sendMessage({ text: long });
    const before = await left.begun();
    const back = new Chat({ id, messages: structuredClone(left.messages) });
    left.stop();
    await back.resumeStream();
    const told = { before, ...back.told, messages: back.messages.length };
    await back.resumeStream(); // nothing is running
    return { ...told, after: back.answer };
  },
  async cancel() {
    const chat = new Chat({ id: crypto.randomUUID() });
    const ended = chat.sendMessage({ text: long });
    await chat.begun();
    await fetch(`${url}/v1/chat/completions/${chat.lastMessage.id}`, { method: "DELETE", headers });
    await ended;
    return chat.told;
  },
  async picture() {
    const chat = new Chat({ id: crypto.randomUUID() });
    await chat.sendMessage({ text, files: [{ type: "file", mediaType: "image/png", url: "data:image/png;base64,AA==" }] });
    return chat.told;
  },
};

const told = await Promise.all(Object.entries(askers).map(async ([name, ask]) => [name, await ask()]));
console.log(JSON.stringify(Object.fromEntries(told)));
