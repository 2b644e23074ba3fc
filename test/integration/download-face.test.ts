import { downloadFaceContract } from "../contract/download-face.ts";
import { downloadPropertiesContract } from "../contract/download-properties.ts";
import { downloadVerbsContract } from "../contract/download-verbs.ts";

for (const way of ["in process", "remote"] as const) {
  downloadPropertiesContract(way);
  downloadVerbsContract(way);
  downloadFaceContract(way);
}
