// Bundles src/ into ../static (or the folder given), the same bytes on every machine: fixed esbuild, no paths, no dates.
import { build } from "esbuild";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const outdir = process.argv[2] ?? fileURLToPath(new URL("../static", import.meta.url));
const options = {
  absWorkingDir: here,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
  loader: { ".css": "text", ".glsl": "text" },
};

/** `import source from "worker:./x.ts"` gives the bundled worker as text: it starts from a blob, without a second file. */
const workers = {
  name: "workers",
  setup(context) {
    context.onResolve({ filter: /^worker:/ }, ({ path, resolveDir }) => ({
      path: join(resolveDir, path.slice("worker:".length)),
      namespace: "worker",
    }));
    context.onLoad({ filter: /./, namespace: "worker" }, async ({ path }) => {
      const { outputFiles } = await build({ ...options, entryPoints: [path], format: "iife", write: false });
      return { contents: outputFiles[0].text, loader: "text" };
    });
  },
};

await build({ ...options, entryPoints: ["src/runtime.ts", "src/loader.ts"], outdir, plugins: [workers] });
