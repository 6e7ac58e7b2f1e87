// A button that runs one action at a time, shows that it works, and counts down while it has to wait.

import { CallError } from "./calls.js";
import { words } from "./page.js";

const STEPS = [[100, 1, "seconds"], [100, 60, "minutes"], [Infinity, 3600, "hours"]];

// A duration as people say it: 59 s, 12 min, 3 h.
export function duration(seconds) {
  const [, unit, name] = STEPS.find(([most, size]) => seconds < most * size);
  return words[name].replace("{n}", Math.ceil(seconds / unit));
}

export class ActionButton {
  // The texts are the button's own and its data-busy and data-waiting; `offer` needs data-first and data-again. `report` shows the error of a call
  // that failed.
  constructor(element, action, report) {
    this.element = element;
    this.action = action;
    this.report = report;
    this.label = element.textContent;
    this.busy = false;
    this.until = 0;
    this.limitedUntil = 0;
  }

  async press(event) {
    event?.preventDefault();
    if (this.busy || this.left > 0) return;
    this.busy = true;
    this.#show();
    try {
      await this.action();
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      this.limit(error.wait);
      this.report(error.message);
    } finally {
      this.busy = false;
      this.#show();
    }
  }

  get left() {
    return Math.max(0, Math.ceil((Math.max(this.until, this.limitedUntil) - Date.now()) / 1000));
  }

  // Disable the button for some seconds, with a countdown: for what the fields say now. Zero ends it.
  wait(seconds) {
    this.until = Date.now() + seconds * 1000;
    this.#count();
  }

  // Disable the button for some seconds, also if the fields are valid: the caller is limited.
  limit(seconds) {
    this.limitedUntil = Date.now() + seconds * 1000;
    this.#count();
  }

  // Whether the button offers to do its action again, or for the first time.
  offer(again) {
    this.label = again ? this.element.dataset.again : this.element.dataset.first;
    this.#show();
  }

  #count() {
    clearInterval(this.ticking);
    if (this.left > 0) this.ticking = setInterval(() => this.#show(), 250);
    this.#show();
  }

  #show() {
    const { left, element, busy } = this;
    if (left === 0) clearInterval(this.ticking);
    element.disabled = left > 0 && !busy;
    element.setAttribute("aria-disabled", String(busy));
    const waiting = () => element.dataset.waiting.replace("{time}", duration(left));
    element.textContent = busy ? element.dataset.busy : left > 0 ? waiting() : this.label;
  }
}
