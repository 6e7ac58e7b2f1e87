// Sending a code: the button, its countdown, and what is known about the code that was sent.

import { ActionButton } from "./action-button.js";
import { recall, remember } from "./draft.js";
import { number, validate } from "./fields.js";
import { byId, hint, setError } from "./page.js";
import { SentCode } from "./sent-code.js";
import { cleaned } from "./spelling.js";

export class CodeRequest {
  // `request` asks the server to send a code. It returns { seconds, challenge, note }, or nothing after a refusal, which
  // it has shown.
  constructor(purpose, request) {
    this.purpose = purpose;
    this.request = request;
    this.button = new ActionButton(byId("send"), () => this.#send(), (text) => setError("code", text));
    byId("send").addEventListener("click", () => this.button.press());
    for (const event of ["input", "change"]) byId("phone").addEventListener(event, () => this.#showCooldown());
    byId("country").addEventListener("change", () => this.#showCooldown());
    this.#showCooldown();
  }

  get code() {
    return new SentCode(this.purpose, this.#key);
  }

  get #key() {
    return cleaned(number());
  }

  // The cooldown belongs to the number: it goes on after a reload, and another number has none.
  startCooldown(seconds) {
    remember({ cooldowns: { ...recall().cooldowns, [this.#key]: Date.now() + seconds * 1000 } });
    this.#showCooldown();
  }

  #showCooldown() {
    const until = recall().cooldowns[this.#key];
    this.button.offer(until !== undefined);
    this.button.wait(Math.max(0, ((until ?? 0) - Date.now()) / 1000));
  }

  async #send() {
    setError("code", "");
    if (!validate(["phone"])) return;
    const sent = await this.request(number());
    if (!sent) return;
    this.code.sent(sent.challenge);
    this.startCooldown(sent.seconds);
    hint("code", sent.note, true);
    byId("code").focus();
  }
}
