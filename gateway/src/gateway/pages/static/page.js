// The page: its form, its words, and the elements of its fields.

export const form = document.querySelector("form");
export const words = JSON.parse(form.dataset.words);
export const language = document.documentElement.lang;
export const byId = (id) => document.getElementById(id);

// Show an error below an input and to assistive technology, with a link to what helps. An empty text removes it.
export function setError(name, text, link) {
  const line = byId(`${name}-error`);
  line.textContent = text;
  if (text && link?.href) line.append(" ", Object.assign(document.createElement("a"), { href: link.href, textContent: link.text }));
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

export function focusFirstInvalid() {
  form.querySelector('[aria-invalid="true"]')?.focus();
}

// Replace the form with the page's result.
export function finish() {
  for (const input of form.querySelectorAll("input:not([type=hidden])")) input.value = "";
  byId("ask").hidden = true;
  byId("done").hidden = false;
  byId("done-title").focus();
}
