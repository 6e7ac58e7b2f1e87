// The fields: what people type is read as they write it, checked before it is sent, and kept over a reload.

import { recall, remember } from "./draft.js";
import { byId, focusFirstInvalid, form, setError, words } from "./page.js";
import { cleaned, findCode } from "./spelling.js";

const MAX_PASSWORD = 128;

const phone = byId("phone");
const country = byId("country");
const code = byId("code");
const served = [...(country.options ?? [country])].map((each) => each.value);

// Whether a number names its country itself: the country that the page shows is then not its own.
const namesCountry = (text) => /^(\+|00)/.test(cleaned(text));

// The number as it is sent: with its country, unless that is the mainland, whose numbers need none.
export function number() {
  const typed = phone.value.trim();
  return namesCountry(typed) || country.value === "86" || !typed ? typed : `+${country.value}${typed}`;
}

// Move the country of a whole number, as autofill and the clipboard bring it, from the field to its own place.
function readNumber() {
  const digits = cleaned(phone.value).replace(/^(\+|00)(?=\d)|^(?=861[3-9]\d{9}$)/, "+");
  const own = digits.startsWith("+") && served.find((each) => digits.startsWith(`+${each}`));
  if (own) {
    country.value = own;
    phone.value = digits.slice(own.length + 1);
  }
  keepNumber();
}

function keepNumber() {
  phone.parentElement.classList.toggle("names-country", namesCountry(phone.value));
  if (byId("username")) byId("username").value = number();
  remember({ phone: phone.value, country: country.value });
}

// A whole message, or a code with separators, becomes the code. What is typed digit by digit stays as it is.
function readCode(event) {
  if (event.isComposing) return;
  const found = findCode(code.value);
  if (found && found !== code.value) code.value = found;
}

function pasteCode(event) {
  const found = findCode(event.clipboardData.getData("text"));
  if (!found) return;
  event.preventDefault(); // the input would drop the line ends of a message, and join the digits around them
  code.value = found;
  code.dispatchEvent(new InputEvent("input", { bubbles: true }));
}

const CHECKS = {
  phone: (text) => !text && words.need_phone,
  code: (text) => (!text ? words.need_code : !/^\d{6}$/.test(cleaned(text)) && words.six_digits),
  password: (text, input) =>
    !text ? words.need_password
    : text.length < input.minLength ? words.short
    : text.length > MAX_PASSWORD && words.long,
  confirm: (text) => (!text ? words.need_confirm : text !== byId("password").value && words.differ),
};

// Check the fields before they are sent. Returns true if all are valid; otherwise the first invalid one gets focus.
export function validate(names = Object.keys(CHECKS)) {
  const invalid = names.filter((name) => byId(name) && setError(name, CHECKS[name](byId(name).value, byId(name)) || ""));
  if (invalid.length) focusFirstInvalid();
  return !invalid.length;
}

// The code that was typed, in ASCII digits.
export const codeDigits = () => cleaned(code.value);

function showReveal(button) {
  const input = byId(button.getAttribute("aria-controls"));
  const label = document.querySelector(`label[for="${input.id}"]`).textContent;
  button.hidden = false;
  button.addEventListener("click", () => {
    const reveal = input.type === "password";
    input.type = reveal ? "text" : "password";
    button.textContent = reveal ? words.hide : words.show;
    button.setAttribute("aria-label", `${button.textContent}: ${label}`);
  });
}

for (const input of form.querySelectorAll("input")) {
  input.addEventListener("input", () => {
    if (byId(`${input.id}-error`)?.textContent) setError(input.id, "");
  });
}
for (const button of document.querySelectorAll(".reveal")) showReveal(button);

if (served.includes(recall().country)) country.value = recall().country;
phone.value ||= recall().phone;
phone.addEventListener("input", keepNumber);
phone.addEventListener("change", readNumber);
phone.addEventListener("paste", () => setTimeout(readNumber));
country.addEventListener("change", keepNumber);
code?.addEventListener("input", readCode);
code?.addEventListener("compositionend", readCode);
code?.addEventListener("paste", pasteCode);
readNumber();
