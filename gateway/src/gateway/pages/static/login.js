// Logging in with number and password, over our own API.

import { busyWith, byId, call, complain, complete, focusFirstBad, form, say, value, words } from "./form.js";
import { enter } from "./session.js";

async function logIn() {
  say("");
  if (!complete()) return;
  const fields = { phone: value("phone"), password: byId("password").value, client: "web" };
  const answer = await call("POST", "/v2/sessions", fields);
  if (answer.ok) return enter(answer.body);
  const { code, detail } = answer.body;
  if (code === "number_refused") complain("phone", detail);
  else say(`${detail} ${answer.wait ? words.wait.replace("{seconds}", answer.wait) : ""}`, true);
  focusFirstBad();
}

form.addEventListener("submit", busyWith(byId("go"), logIn));
