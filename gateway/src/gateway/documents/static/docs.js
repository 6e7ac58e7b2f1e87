// The documents page: filter the entries, copy examples, and show this gateway's address in commands.

const narrow = matchMedia("(max-width: 860px)");
const fold = () => { document.querySelector(".contents details").open = !narrow.matches; };
fold();
narrow.addEventListener("change", fold);

for (const code of document.querySelectorAll(".code code")) {
  if (code.textContent.includes("$GATEWAY_URL")) {
    code.textContent = code.textContent.replaceAll("$GATEWAY_URL", location.origin);
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

const filter = document.getElementById("filter");
const entries = [...document.querySelectorAll("[data-for]")].map((item) => {
  const card = document.getElementById(item.dataset.for);
  return { item, card, text: card.textContent.toLowerCase() };
});

function show() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const { item, card, text } of entries) {
    const fits = words.every((word) => text.includes(word));
    item.hidden = card.hidden = !fits;
    shown += fits;
  }
  for (const group of document.querySelectorAll("[data-group]")) {
    group.hidden = !group.querySelector("li:not([hidden])");
  }
  for (const section of document.querySelectorAll("section.contract")) {
    section.hidden = !section.querySelector("article:not([hidden])");
  }
  document.getElementById("nothing").hidden = shown > 0;
}

filter.hidden = false;
filter.addEventListener("input", show);
if (filter.value) show();
