// The life of the codes that were sent to a number, as the server counts it: five minutes, five incorrect tries, and the
// same code again while it lives. The contract register_page has one refusal for incorrect and for dead codes, so the
// page counts.

import { recall, remember } from "./draft.js";

const LIFETIME = 5 * 60_000;
const TRIES = 5;

export class SentCode {
  constructor(purpose, number) {
    this.key = `${purpose} ${number}`;
  }

  get #record() {
    return recall().codes[this.key];
  }

  #write(record) {
    remember({ codes: { ...recall().codes, [this.key]: record } });
  }

  get challenge() {
    return this.#record?.challenge ?? "";
  }

  // Whether the code that was sent is known to be used up or expired.
  get isDead() {
    const record = this.#record;
    return Boolean(record) && (record.tries >= TRIES || Date.now() >= record.sentAt + LIFETIME);
  }

  sent(challenge = "") {
    const lives = this.#record && !this.isDead;
    this.#write({ ...(lives ? this.#record : { sentAt: Date.now(), tries: 0 }), challenge });
  }

  // Count an incorrect try. `left` is how many the server says are left, if it does.
  missed(left) {
    if (this.#record) this.#write({ ...this.#record, tries: left === undefined ? this.#record.tries + 1 : TRIES - left });
  }

  spent() {
    const { [this.key]: _, ...others } = recall().codes;
    remember({ codes: others });
  }
}
