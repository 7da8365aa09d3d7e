// `node build.mjs` builds the modules of the npm package, and the one file that the wheel serves.
// `node build.mjs modules` builds the first alone, `node build.mjs bundle FILE` writes the second elsewhere.
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const common = { format: "esm", target: "es2022", logLevel: "warning", charset: "utf8", absWorkingDir: here(".") };
const modules = () => build({ ...common, entryPoints: ["src/**/*.ts"], outdir: "dist" });
const bundle = (outfile) => build({ ...common, entryPoints: ["src/index.ts"], bundle: true, minify: true, outfile });

const [what, file = here("../../app/flask_simulcast/static/simulcast.js")] = process.argv.slice(2);
if (what !== "bundle") await modules();
if (what !== "modules") await bundle(file);
