// Shared by the three forms: fields and their errors, the button that sends a code, calls, and the final state.

export const form = document.querySelector("form");
export const words = JSON.parse(form.dataset.words);
export const language = document.documentElement.lang;
export const byId = (id) => document.getElementById(id);
export const value = (name) => byId(name).value.trim();

// Show an error below an input and to assistive technology. An empty text removes it.
export function setError(name, text) {
  byId(`${name}-error`).textContent = text;
  byId(name).setAttribute("aria-invalid", String(Boolean(text)));
  return Boolean(text);
}

export function hint(name, text, good = false) {
  const line = byId(`${name}-hint`);
  line.textContent = text;
  line.classList.toggle("good", good);
}

export function setStatus(text, bad = false, line = byId("status")) {
  line.textContent = text;
  line.classList.toggle("bad", bad);
}

// Call our own server. Throws without a response; the caller handles refusals.
export async function call(method, path, fields, token) {
  const headers = { Accept: "application/json", "Accept-Language": language };
  if (fields) headers["Content-Type"] = "application/json";
  if (token) headers.Authorization = `Bearer ${token}`;
  const body = fields && JSON.stringify(fields);
  const response = await fetch(path, { method, headers, body, credentials: "omit", signal: AbortSignal.timeout(15_000) });
  const wait = Number(response.headers.get("Retry-After")) || 0;
  return { ok: response.ok, status: response.status, wait, body: response.status === 204 ? {} : await response.json() };
}

// Run one action at a time for a button, and show a message when the server cannot be reached.
export function busyWith(button, action) {
  return async (event) => {
    event?.preventDefault();
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    try {
      await action();
    } catch {
      setStatus(words.offline, true);
    } finally {
      button.removeAttribute("aria-disabled");
    }
  };
}

let ends = 0;
let ticking;

// Disable the button that sends a code for some seconds, with a countdown.
export function startCooldown(seconds) {
  const button = byId("send");
  ends = Date.now() + seconds * 1000;
  clearInterval(ticking);
  const tick = () => {
    const left = Math.ceil((ends - Date.now()) / 1000);
    button.disabled = left > 0;
    button.textContent = left > 0 ? words.seconds.replace("{seconds}", left) : button.dataset.again;
    if (left <= 0) clearInterval(ticking);
  };
  ticking = setInterval(tick, 250);
  tick();
}

// Validate the form before it is sent. Returns true if it is valid; otherwise the first invalid field gets focus.
export function validate() {
  const missing = { phone: words.need_phone, code: words.need_code, password: words.need_password, confirm: words.need_confirm };
  for (const name of Object.keys(missing)) {
    const input = byId(name);
    if (!input) continue;
    if (!input.value) setError(name, missing[name]);
    else if (name === "password" && input.minLength > input.value.length) setError(name, words.short);
    else if (name === "confirm" && input.value !== byId("password").value) setError(name, words.differ);
    else if (byId(`${name}-error`).textContent) setError(name, "");
  }
  return !focusFirstInvalid();
}

export function focusFirstInvalid() {
  const invalid = form.querySelector('[aria-invalid="true"]');
  invalid?.focus();
  return invalid;
}

export function finish() {
  for (const input of form.querySelectorAll("input")) input.value = "";
  byId("ask").hidden = true;
  byId("done").hidden = false;
  byId("done-title").focus();
}

for (const input of form.querySelectorAll("input")) {
  input.addEventListener("input", () => { if (byId(`${input.id}-error`).textContent) setError(input.id, ""); });
}

for (const button of document.querySelectorAll(".reveal")) {
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
