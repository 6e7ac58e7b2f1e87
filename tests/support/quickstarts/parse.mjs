// Prints the syntax errors of files: node parse.mjs swift A.swift B.swift
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Language, Parser } from "web-tree-sitter";

const [language, ...files] = process.argv.slice(2);
const { resolve } = createRequire(import.meta.url);
await Parser.init();
const parser = new Parser();
parser.setLanguage(await Language.load(resolve(`@repomix/tree-sitter-wasms/out/tree-sitter-${language}.wasm`)));

function report(file, node) {
  const line = `${file}:${node.startPosition.row + 1}`;
  if (node.isMissing) console.log(`${line}: ${node.type} is missing`);
  else if (node.isError) console.log(`${line}: ${node.text.split("\n")[0].slice(0, 80)}`);
  else if (node.hasError) node.children.forEach((child) => report(file, child));
}

for (const file of files) report(file, parser.parse(readFileSync(file, "utf8")).rootNode);
