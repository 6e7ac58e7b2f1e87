// The contents beside a document: a filter over every page, the entry that is open, and the buttons that copy examples.

const narrow = matchMedia("(max-width: 860px)");
const fold = () => { document.querySelector(".contents details").open = !narrow.matches; };
fold();
narrow.addEventListener("change", fold);

const filter = document.getElementById("filter");
const items = [...document.querySelectorAll("[data-words]")];

function show() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const item of items) item.hidden = !words.every((word) => item.dataset.words.includes(word));
  for (const group of document.querySelectorAll("[data-group]")) {
    group.hidden = !group.querySelector("li:not([hidden])");
  }
  document.getElementById("nothing").hidden = items.some((item) => !item.hidden);
}

function markOpen() {
  for (const link of document.querySelectorAll("[data-here] li a")) {
    if (link.hash === decodeURIComponent(location.hash)) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

for (const button of document.querySelectorAll(".copy")) {
  if (!navigator.clipboard) break;
  const label = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.closest(".code").querySelector("code").textContent);
    button.textContent = button.dataset.copied;
    setTimeout(() => { button.textContent = label; }, 1500);
  });
}

filter.hidden = false;
filter.addEventListener("input", show);
if (filter.value) show();
addEventListener("hashchange", markOpen);
markOpen();
