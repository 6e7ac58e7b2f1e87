// What the three forms share: fields and what is wrong with them, the button that sends a code, calls, the end.

export const form = document.querySelector("form");
export const words = JSON.parse(form.dataset.words);
export const language = document.documentElement.lang;
export const byId = (id) => document.getElementById(id);
export const value = (name) => byId(name).value.trim();

// An input's complaint, in words below it and for assistive technology; an empty text takes it back.
export function complain(name, text) {
  byId(`${name}-error`).textContent = text;
  byId(name).setAttribute("aria-invalid", String(Boolean(text)));
  return Boolean(text);
}

export function hint(name, text, good = false) {
  const line = byId(`${name}-hint`);
  line.textContent = text;
  line.classList.toggle("good", good);
}

export function say(text, bad = false, line = byId("status")) {
  line.textContent = text;
  line.classList.toggle("bad", bad);
}

// Asks our own server. Without an answer it throws; what the answer says is judged by who asked.
export async function call(method, path, fields, token) {
  const headers = { Accept: "application/json", "Accept-Language": language };
  if (fields) headers["Content-Type"] = "application/json";
  if (token) headers.Authorization = `Bearer ${token}`;
  const body = fields && JSON.stringify(fields);
  const answer = await fetch(path, { method, headers, body, credentials: "omit", signal: AbortSignal.timeout(15_000) });
  const wait = Number(answer.headers.get("Retry-After")) || 0;
  return { ok: answer.ok, status: answer.status, wait, body: answer.status === 204 ? {} : await answer.json() };
}

// Runs one thing at a time for a button, and says so when the server cannot be reached.
export function busyWith(button, work) {
  return async (event) => {
    event?.preventDefault();
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    try {
      await work();
    } catch {
      say(words.offline, true);
    } finally {
      button.removeAttribute("aria-disabled");
    }
  };
}

let ends = 0;
let ticking;

// No code may be asked for during these seconds; the button counts them down.
export function holdSending(seconds) {
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

// What every form asks of itself before it asks the server. True when all is well; else the first bad field has focus.
export function complete() {
  const needs = { phone: words.need_phone, code: words.need_code, password: words.need_password, confirm: words.need_confirm };
  for (const name of Object.keys(needs)) {
    const input = byId(name);
    if (!input) continue;
    if (!input.value) complain(name, needs[name]);
    else if (name === "password" && input.minLength > input.value.length) complain(name, words.short);
    else if (name === "confirm" && input.value !== byId("password").value) complain(name, words.differ);
    else if (byId(`${name}-error`).textContent) complain(name, "");
  }
  return !focusFirstBad();
}

export function focusFirstBad() {
  const bad = form.querySelector('[aria-invalid="true"]');
  bad?.focus();
  return bad;
}

export function finish() {
  for (const input of form.querySelectorAll("input")) input.value = "";
  byId("ask").hidden = true;
  byId("done").hidden = false;
  byId("done-title").focus();
}

for (const input of form.querySelectorAll("input")) {
  input.addEventListener("input", () => { if (byId(`${input.id}-error`).textContent) complain(input.id, ""); });
}

for (const button of document.querySelectorAll(".reveal")) {
  const input = byId(button.getAttribute("aria-controls"));
  const label = document.querySelector(`label[for="${input.id}"]`).textContent;
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = input.type === "password";
    input.type = shown ? "text" : "password";
    button.textContent = shown ? words.hide : words.show;
    button.setAttribute("aria-label", `${button.textContent}: ${label}`);
  });
}
