// Register, as a client of the contract register_page: three calls with errorCode in each response.

import { busyWith, byId, call, setError, validate, finish, focusFirstInvalid, form, hint, startCooldown, setStatus, value, words } from "./form.js";

const FIELDS = { 1001: "phone", 1002: "code", 1003: "phone", 1004: "code", 1005: "code", 1006: "password" };
const COOLDOWN = 60; // seconds, as the contract defines
const LOOKS_COMPLETE = /^((\+|00)?86)?1[3-9]\d{9}$|^(\+|00)(?!86)\d{8,}$/;

// The contract's own text in Chinese, or its translation.
const text = (response) => words.refusals[response.body.errorCode] ?? response.body.msg;

function showRefusal(response) {
  const { errorCode } = response.body;
  const field = FIELDS[errorCode];
  if (errorCode === "1002") startCooldown(response.wait || COOLDOWN);
  if (field) setError(field, text(response));
  else setStatus(`${text(response)} ${response.wait ? words.wait.replace("{seconds}", response.wait) : ""}`, true);
  focusFirstInvalid();
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
  if (!phone || checked === phone || !(always || LOOKS_COMPLETE.test(bare))) return;
  checked = phone;
  hint("phone", words.checking);
  const response = await call("POST", "/v1/register/checkPhone", { phone }).catch(() => null);
  if (value("phone") !== phone) return; // the number has changed since
  hint("phone", "");
  const code = response?.body.errorCode;
  if (code === "0000") hint("phone", text(response), true);
  else if (code === "1001" || code === "1003") setError("phone", text(response));
  else if (code === "1002") startCooldown(response.wait || COOLDOWN);
  else checked = ""; // unknown; sending a code will show it
}

async function send() {
  setStatus("");
  if (setError("phone", value("phone") ? "" : words.need_phone)) return void byId("phone").focus();
  const response = await call("POST", "/v1/register/sendCode", { phone: value("phone") });
  if (response.body.success !== "true") return showRefusal(response);
  startCooldown(COOLDOWN);
  setError("code", "");
  hint("code", words.refusals["0000"] ? words.sent : response.body.msg, true);
  byId("code").focus();
}

async function register() {
  setStatus("");
  if (!validate()) return;
  const fields = { phone: value("phone"), vcode: value("code"), password: byId("password").value };
  const response = await call("POST", "/v1/register", fields);
  if (response.body.success !== "true") return showRefusal(response);
  byId("number").textContent = fields.phone;
  finish();
}

byId("phone").addEventListener("input", checkSoon);
byId("phone").addEventListener("blur", () => check(true));
byId("send").addEventListener("click", busyWith(byId("send"), send));
form.addEventListener("submit", busyWith(byId("go"), register));
