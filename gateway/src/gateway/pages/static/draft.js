// What the forms remember while this tab is open: the number, codes that were sent, and cooldowns. Reloading the page,
// changing the language and going to another form keep it. No password, code or token is ever part of it.

const KEY = "haoma.account";

let draft = { country: "", phone: "", codes: {}, cooldowns: {} };
try {
  draft = { ...draft, ...JSON.parse(sessionStorage.getItem(KEY)) };
} catch {
  // The browser forbids storage, or the text is not ours: the draft begins empty.
}

export const recall = () => draft;

export function remember(changes) {
  draft = { ...draft, ...changes };
  try {
    sessionStorage.setItem(KEY, JSON.stringify(draft));
  } catch {
    // Without storage, the draft lasts as long as the page.
  }
}

export function forget() {
  draft = { country: "", phone: "", codes: {}, cooldowns: {} };
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // There was no storage to write to.
  }
}
