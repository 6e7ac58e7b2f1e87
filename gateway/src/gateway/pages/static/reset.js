// A new password for who can read a code, over our own API: code to ticket, ticket and password to a session.

import { busyWith, byId, call, complain, complete, focusFirstBad, form, hint, holdSending, say, value, words } from "./form.js";
import { enter } from "./session.js";

const FIELDS = {
  number_refused: "phone", no_account: "phone", account_banned: "phone",
  cooldown: "code", daily_cap: "code", code_refused: "code",
  password_characters: "password", password_length: "password",
};
let challenge = "";

function refused(answer) {
  const { code, detail } = answer.body;
  if (code === "cooldown") holdSending(answer.wait);
  if (FIELDS[code]) complain(FIELDS[code], detail);
  else say(`${detail} ${answer.wait ? words.wait.replace("{seconds}", answer.wait) : ""}`, true);
  focusFirstBad();
}

async function send() {
  say("");
  if (complain("phone", value("phone") ? "" : words.need_phone)) return void byId("phone").focus();
  const answer = await call("POST", "/v2/verifications", { phone: value("phone"), purpose: "reset_password" });
  if (!answer.ok) return refused(answer);
  challenge = answer.body.challenge;
  holdSending(answer.body.resend_after);
  complain("code", "");
  hint("code", words.sent, true);
  byId("code").focus();
}

async function reset() {
  say("");
  if (!complete()) return;
  if (!challenge) return void (complain("code", words.first_send), byId("send").focus());
  const checked = await call("POST", "/v2/verifications/check", { challenge, code: value("code") });
  if (!checked.ok) return refused(checked);
  const fields = { ticket: checked.body.ticket, password: byId("password").value, client: "web" };
  const answer = await call("PUT", "/v2/password", fields);
  if (!answer.ok) return refused(answer);
  challenge = "";
  await enter(answer.body);
}

byId("phone").addEventListener("input", () => { challenge = ""; });
byId("send").addEventListener("click", busyWith(byId("send"), send));
form.addEventListener("submit", busyWith(byId("go"), reset));
