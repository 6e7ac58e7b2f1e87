// What scenario.ts uses of Node. (The types of Node are a package of their own, larger than all others together.)
declare const process: { env: Record<string, string | undefined>; stdin: unknown; exit(): never };
declare module "node:readline" {
  export function createInterface(options: { input: unknown }): AsyncIterable<string>;
}
