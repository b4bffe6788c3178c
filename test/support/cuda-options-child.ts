/** Gives the CUDA provider beside the library in argv[2] each of the sets of options in argv[3], and prints what came of it. */
import { createCudaOptions } from "../../native/ort-cuda-options.js";
import { NATIVE, OrtEnvironment } from "../../native/ort-environment.js";
import { loadOrtLibrary } from "../../native/ort-library.js";

const [, , library = "", sets = "[]"] = process.argv;
loadOrtLibrary(library);
const environment = OrtEnvironment.open();
const outcomes = (JSON.parse(sets) as Record<string, string>[]).map((options) => {
  try {
    environment[NATIVE].api.ReleaseCUDAProviderOptions(createCudaOptions(environment, options));
    return "taken";
  } catch (error) {
    return (error as Error).message;
  }
});
process.stdout.write(JSON.stringify(outcomes));
