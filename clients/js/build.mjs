// `node build.mjs` builds the modules of the npm package, and the files that the wheel serves.
// `node build.mjs modules` builds the first alone, `node build.mjs bundles FOLDER` writes the second elsewhere.
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const BUNDLES = {
  simulcast: "src/index.ts",
  ...Object.fromEntries(["views", "tabs", "offline", "react", "vue"].map((name) => [name, `src/${name}.ts`])),
};
/** The files stand beside each other, so they import each other. */
const beside = {
  name: "beside",
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/(index|views)\.js$/ }, ({ path, importer }) =>
      /(offline|react|vue)\.ts$/.test(importer) ? { path: path.replace("index", "simulcast"), external: true } : undefined,
    );
  },
};
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const common = { format: "esm", target: "es2022", logLevel: "warning", charset: "utf8", absWorkingDir: here(".") };
const modules = () => build({ ...common, entryPoints: ["src/**/*.ts"], outdir: "dist" });
const bundles = (outdir) => build({ ...common, entryPoints: BUNDLES, bundle: true, minify: true, external: ["react", "vue"], plugins: [beside], outdir });

const [what, folder = here("../../app/flask_simulcast/static")] = process.argv.slice(2);
if (what !== "bundles") await modules();
if (what !== "modules") await bundles(folder);
