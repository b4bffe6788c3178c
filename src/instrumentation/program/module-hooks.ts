/** Lets instrumentations change ES modules, too; CommonJS needs nothing of the kind. */
import { register } from "node:module";
import { register as registerSync, supportsSyncHooks } from "import-in-the-middle/register-hooks.mjs";

/** Only what an instrumentation here looks at is intercepted: every other module loads as if we were not there. */
const INCLUDE = [
  "http",
  "https",
  /\/node_modules\/(pino|onnxruntime-node|onnxruntime-common|@huggingface\/transformers|@xenova\/transformers|@opentelemetry\/api)\//,
];

/** In this thread where Node can (22.22.3, 24.11.1 and later), else in Node's thread for such hooks. */
export function hookModules(): void {
  if (supportsSyncHooks()) registerSync({ include: INCLUDE });
  else register("import-in-the-middle/hook.mjs", import.meta.url, { data: { include: INCLUDE } });
}
