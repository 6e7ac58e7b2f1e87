// Registering, as a client of contract register_page: three calls, told apart by errorCode.

import { busyWith, byId, call, complain, complete, finish, focusFirstBad, form, hint, holdSending, say, value, words } from "./form.js";

const FIELDS = { 1001: "phone", 1002: "code", 1003: "phone", 1004: "code", 1005: "code", 1006: "password" };
const COOLDOWN = 60; // "one code in 60 seconds", says the contract
const LOOKS_WHOLE = /^((\+|00)?86)?1[3-9]\d{9}$|^(\+|00)(?!86)\d{8,}$/;

// The contract's own text in Chinese; its translation where there is one.
const text = (answer) => words.refusals[answer.body.errorCode] ?? answer.body.msg;

function refused(answer) {
  const { errorCode } = answer.body;
  const field = FIELDS[errorCode];
  if (errorCode === "1002") holdSending(answer.wait || COOLDOWN);
  if (field) complain(field, text(answer));
  else say(`${text(answer)} ${answer.wait ? words.wait.replace("{seconds}", answer.wait) : ""}`, true);
  focusFirstBad();
}

let waiting;
let checked = "";

function checkSoon() {
  clearTimeout(waiting);
  hint("phone", "");
  checked = "";
  waiting = setTimeout(check, 400);
}

async function check(always = false) {
  clearTimeout(waiting);
  const phone = value("phone");
  const bare = phone.replace(/[\s-]/g, "");
  if (!phone || checked === phone || !(always || LOOKS_WHOLE.test(bare))) return;
  checked = phone;
  hint("phone", words.checking);
  const answer = await call("POST", "/v1/register/checkPhone", { phone }).catch(() => null);
  if (value("phone") !== phone) return; // typed on meanwhile
  hint("phone", "");
  const code = answer?.body.errorCode;
  if (code === "0000") hint("phone", text(answer), true);
  else if (code === "1001" || code === "1003") complain("phone", text(answer));
  else if (code === "1002") holdSending(answer.wait || COOLDOWN);
  else checked = ""; // not known: sending will tell
}

async function send() {
  say("");
  if (complain("phone", value("phone") ? "" : words.need_phone)) return void byId("phone").focus();
  const answer = await call("POST", "/v1/register/sendCode", { phone: value("phone") });
  if (answer.body.success !== "true") return refused(answer);
  holdSending(COOLDOWN);
  complain("code", "");
  hint("code", words.refusals["0000"] ? words.sent : answer.body.msg, true);
  byId("code").focus();
}

async function register() {
  say("");
  if (!complete()) return;
  const fields = { phone: value("phone"), vcode: value("code"), password: byId("password").value };
  const answer = await call("POST", "/v1/register", fields);
  if (answer.body.success !== "true") return refused(answer);
  byId("number").textContent = fields.phone;
  finish();
}

byId("phone").addEventListener("input", checkSoon);
byId("phone").addEventListener("blur", () => check(true));
byId("send").addEventListener("click", busyWith(byId("send"), send));
form.addEventListener("submit", busyWith(byId("go"), register));
