// Log in with a number and a password, through our own API.

import { ActionButton } from "./action-button.js";
import { v2 } from "./calls.js";
import { number, validate } from "./fields.js";
import { byId, focusFirstInvalid, form, setError, setStatus } from "./page.js";
import { openSession } from "./session.js";

const button = new ActionButton(byId("go"), logIn, (text) => setStatus(text, true));

async function logIn() {
  setStatus("");
  if (!validate()) return;
  const fields = { phone: number(), password: byId("password").value, client: "web" };
  const response = await v2("POST", "/v2/sessions", fields);
  if (response.ok) return openSession(response.body);
  const { code, detail } = response.body;
  if (code === "number_refused") setError("phone", detail);
  else setStatus(detail, true);
  button.limit(response.wait);
  focusFirstInvalid();
}

form.addEventListener("submit", (event) => button.press(event));
