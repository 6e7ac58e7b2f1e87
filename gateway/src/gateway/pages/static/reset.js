// Reset the password through our own API: exchange a code for a ticket, and the ticket and a password for a session.

import { ActionButton } from "./action-button.js";
import { v2 } from "./calls.js";
import { CodeRequest } from "./code-request.js";
import { codeDigits, number, validate } from "./fields.js";
import { byId, focusFirstInvalid, form, setError, setStatus, words } from "./page.js";
import { openSession } from "./session.js";

const FIELDS = {
  number_refused: "phone", no_account: "phone", account_banned: "phone",
  cooldown: "code", daily_cap: "code", code_refused: "code",
  password_characters: "password", password_length: "password",
};

const codeRequest = new CodeRequest("reset_password", requestCode);
const resetButton = new ActionButton(byId("go"), reset, (text) => setStatus(text, true));

function showRefusal(response, button) {
  const { code, detail } = response.body;
  const link = code === "no_account" && { href: form.dataset.register, text: words.register };
  if (FIELDS[code]) setError(FIELDS[code], detail, link);
  else button.report(detail);
  if (code === "cooldown" || code === "daily_cap") codeRequest.startCooldown(response.wait);
  else button.limit(response.wait);
  focusFirstInvalid();
}

async function requestCode(phone) {
  const response = await v2("POST", "/v2/verifications", { phone, purpose: "reset_password" });
  if (!response.ok) return showRefusal(response, codeRequest.button);
  return { seconds: response.body.resend_after, challenge: response.body.challenge, note: words.sent };
}

async function reset() {
  setStatus("");
  if (!validate()) return;
  const checked = await v2("POST", "/v2/verifications/check", { ...whatWasSent(), code: codeDigits() });
  if (checked.body.code === "code_refused") return showIncorrectCode(checked);
  if (!checked.ok) return showRefusal(checked, resetButton);
  const fields = { ticket: checked.body.ticket, password: byId("password").value, client: "web" };
  const response = await v2("PUT", "/v2/password", fields);
  if (!response.ok) return showRefusal(response, resetButton);
  await openSession(response.body);
}

// The challenge of the code that this page sent. Without one, as for a code from another tab, the number and the purpose.
function whatWasSent() {
  const { challenge } = codeRequest.code;
  return challenge ? { challenge } : { phone: number(), purpose: "reset_password" };
}

function showIncorrectCode({ body }) {
  setError("code", textOfIncorrectCode(body));
  focusFirstInvalid();
}

function textOfIncorrectCode({ detail, tries_left: left }) {
  // The holder of a challenge is not told the tries left if a new code would not help.
  if (codeRequest.code.challenge && left === undefined) return detail;
  codeRequest.code.missed(left);
  if (codeRequest.code.isDead) return words.dead_code;
  return left ? `${words.wrong_code} ${words.tries_left.replace("{n}", left)}` : detail;
}

form.addEventListener("submit", (event) => resetButton.press(event));
