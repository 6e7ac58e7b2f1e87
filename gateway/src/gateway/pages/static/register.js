// Register, as a client of the contract register_page: three calls with errorCode in each response.

import { ActionButton } from "./action-button.js";
import { CallError, registerPage } from "./calls.js";
import { CodeRequest } from "./code-request.js";
import { codeDigits, number, validate } from "./fields.js";
import { byId, finish, focusFirstInvalid, form, hint, setError, setStatus, words } from "./page.js";
import { cleaned } from "./spelling.js";

const FIELDS = { 1001: "phone", 1002: "code", 1003: "phone", 1004: "code", 1005: "code", 1006: "password" };
const OF_THE_NUMBER = new Set(["1002", "1005"]); // limits that another number does not have
const COOLDOWN = 60; // seconds, as the contract defines
const TELLS_ACCOUNTS = "tellsAccounts" in form.dataset; // else every number is "available", and that says nothing
const LOOKS_COMPLETE = /^((\+|00)?86)?1[3-9]\d{9}$|^(\+|00)(?!86)\d{8,}$/;

const codeRequest = new CodeRequest("sign_up", requestCode);
const registerButton = new ActionButton(byId("go"), register, (text) => setStatus(text, true));

// The contract's own text in Chinese, or its translation.
const text = ({ body }) => words.refusals[body.errorCode] ?? body.msg;

function showRefusal(response, button) {
  if (!showAtField(response)) button.report(text(response));
  if (OF_THE_NUMBER.has(response.body.errorCode)) codeRequest.startCooldown(response.wait || COOLDOWN);
  else button.limit(response.wait);
  focusFirstInvalid();
}

function showAtField(response) {
  const { errorCode } = response.body;
  const link = errorCode === "1003" && { href: form.dataset.login, text: words.log_in };
  return FIELDS[errorCode] && setError(FIELDS[errorCode], text(response), link);
}

async function requestCode(phone) {
  const response = await registerPage("/v1/register/sendCode", { phone });
  if (!response.ok) return showRefusal(response, codeRequest.button);
  return { seconds: COOLDOWN, note: words.refusals["0000"] ? words.sent : response.body.msg };
}

async function register() {
  setStatus("");
  if (!validate()) return;
  const fields = { phone: number(), vcode: codeDigits(), password: byId("password").value };
  const response = await registerPage("/v1/register", fields);
  if (response.body.errorCode === "1004") return showIncorrectCode(response);
  if (!response.ok) return showRefusal(response, registerButton);
  codeRequest.code.spent();
  byId("number").textContent = fields.phone;
  finish();
}

function showIncorrectCode(response) {
  codeRequest.code.missed();
  setError("code", codeRequest.code.isDead ? words.dead_code : text(response));
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

// Tell early whether a number can register. Without an answer, sending a code will tell.
async function check(always = false) {
  clearTimeout(waiting);
  const phone = cleaned(number());
  if (!phone || checked === phone || !(always || LOOKS_COMPLETE.test(phone))) return;
  checked = phone;
  hint("phone", words.checking);
  const response = await registerPage("/v1/register/checkPhone", { phone }).catch(ignoreCallError);
  if (cleaned(number()) !== phone) return; // the number has changed since
  hint("phone", "");
  const code = response?.body.errorCode;
  if (code === "0000") hint("phone", TELLS_ACCOUNTS ? words.free : "", TELLS_ACCOUNTS);
  else if (code === "1001" || code === "1003") showAtField(response);
  else if (code === "1002") codeRequest.startCooldown(response.wait || COOLDOWN);
  else checked = "";
}

function ignoreCallError(error) {
  if (!(error instanceof CallError)) throw error;
}

byId("phone").addEventListener("input", checkSoon);
byId("phone").addEventListener("blur", () => check(true));
form.addEventListener("submit", (event) => registerButton.press(event));
check();
