// Swagger UI over the document of one contract. Tokens that a reader enters stay in memory.

const node = document.getElementById("viewer");
const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
colour();
dark.addEventListener("change", colour);

// Open what an address such as #/native/log_in names. Swagger UI's own action logs an error for each underscore.
const openAddressed = (_, { layoutActions }) => (hash) => {
  const [tag, operation] = decodeURIComponent(hash).replace(/^#?\/?/, "").split("/");
  if (!tag) return;
  const shown = operation ? ["operations", tag, operation] : ["operations-tag", tag];
  layoutActions.show(shown, true);
  layoutActions.scrollTo(shown);
};
const DeepLinks = () => ({ statePlugins: { layout: { wrapActions: { parseDeepLinkHash: openAddressed } } } });

const ui = window.SwaggerUIBundle({
  url: node.dataset.document,
  domNode: node,
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  persistAuthorization: false,
  plugins: [DeepLinks],
  validatorUrl: null,
});

addEventListener("hashchange", () => ui.layoutActions.parseDeepLinkHash(location.hash));
