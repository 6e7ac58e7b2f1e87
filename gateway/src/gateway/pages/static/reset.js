// Reset the password through our own API: exchange a code for a ticket, and the ticket and a password for a session.

import { busyWith, byId, call, setError, validate, focusFirstInvalid, form, hint, startCooldown, setStatus, value, words } from "./form.js";
import { openSession } from "./session.js";

const FIELDS = {
  number_refused: "phone", no_account: "phone", account_banned: "phone",
  cooldown: "code", daily_cap: "code", code_refused: "code",
  password_characters: "password", password_length: "password",
};
let challenge = "";

function showRefusal(response) {
  const { code, detail } = response.body;
  if (code === "cooldown") startCooldown(response.wait);
  if (FIELDS[code]) setError(FIELDS[code], detail);
  else setStatus(`${detail} ${response.wait ? words.wait.replace("{seconds}", response.wait) : ""}`, true);
  focusFirstInvalid();
}

async function send() {
  setStatus("");
  if (setError("phone", value("phone") ? "" : words.need_phone)) return void byId("phone").focus();
  const response = await call("POST", "/v2/verifications", { phone: value("phone"), purpose: "reset_password" });
  if (!response.ok) return showRefusal(response);
  challenge = response.body.challenge;
  startCooldown(response.body.resend_after);
  setError("code", "");
  hint("code", words.sent, true);
  byId("code").focus();
}

async function reset() {
  setStatus("");
  if (!validate()) return;
  if (!challenge) return void (setError("code", words.first_send), byId("send").focus());
  const checked = await call("POST", "/v2/verifications/check", { challenge, code: value("code") });
  if (!checked.ok) return showRefusal(checked);
  const fields = { ticket: checked.body.ticket, password: byId("password").value, client: "web" };
  const response = await call("PUT", "/v2/password", fields);
  if (!response.ok) return showRefusal(response);
  challenge = "";
  await openSession(response.body);
}

byId("phone").addEventListener("input", () => { challenge = ""; });
byId("send").addEventListener("click", busyWith(byId("send"), send));
form.addEventListener("submit", busyWith(byId("go"), reset));
