// Log in with a number and a password, through our own API.

import { busyWith, byId, call, setError, validate, focusFirstInvalid, form, setStatus, value, words } from "./form.js";
import { openSession } from "./session.js";

async function logIn() {
  setStatus("");
  if (!validate()) return;
  const fields = { phone: value("phone"), password: byId("password").value, client: "web" };
  const response = await call("POST", "/v2/sessions", fields);
  if (response.ok) return openSession(response.body);
  const { code, detail } = response.body;
  if (code === "number_refused") setError("phone", detail);
  else setStatus(`${detail} ${response.wait ? words.wait.replace("{seconds}", response.wait) : ""}`, true);
  focusFirstInvalid();
}

form.addEventListener("submit", busyWith(byId("go"), logIn));
