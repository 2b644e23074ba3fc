/**
 * Writes or checks the reports of the public API, `docs/api/*.api.md`: one for each entry point. A
 * change of the API then shows in a diff. Reads `dist`, so `tsc -b` comes first.
 *
 *   node tools/api/report.mjs           writes the reports
 *   node tools/api/report.mjs --check   fails when a report is not up to date
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Extractor, ExtractorConfig, ExtractorLogLevel } from "@microsoft/api-extractor";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
const ENTRY_POINTS = [
  { name: "jobs", folder: "packages/jobs", file: "index" },
  { name: "jobs-compat", folder: "packages/jobs", file: "compat" },
  { name: "agent", folder: "packages/agent", file: "index" },
];

const isCheck = process.argv.includes("--check");
let isRight = true;
for (const { name, folder, file } of ENTRY_POINTS) {
  const config = ExtractorConfig.prepare({
    configObjectFullPath: undefined,
    packageJsonFullPath: join(root, folder, "package.json"),
    configObject: {
      projectFolder: join(root, folder),
      mainEntryPointFilePath: join(root, folder, "dist", `${file}.d.ts`),
      compiler: { tsconfigFilePath: join(here, "tsconfig.report.json") },
      apiReport: {
        enabled: true,
        reportFileName: `${name}.api.md`,
        reportFolder: join(root, "docs/api"),
        reportTempFolder: join(root, "dist-api/reports"),
        includeForgottenExports: false,
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      messages: {
        // Doc comments are typedoc's to judge; here only the shape of the API counts.
        tsdocMessageReporting: { default: { logLevel: ExtractorLogLevel.None } },
        extractorMessageReporting: {
          default: { logLevel: ExtractorLogLevel.Error, addToApiReportFile: false },
          "ae-missing-release-tag": { logLevel: ExtractorLogLevel.None },
          "ae-forgotten-export": { logLevel: ExtractorLogLevel.None },
          "ae-undocumented": { logLevel: ExtractorLogLevel.None },
        },
      },
    },
  });
  const result = Extractor.invoke(config, {
    localBuild: !isCheck,
    messageCallback: (message) => {
      if (message.messageId === "console-compiler-version-notice") message.handled = true;
      if (message.logLevel === ExtractorLogLevel.Info) message.handled = true;
    },
  });
  isRight &&= result.succeeded && !(isCheck && result.apiReportChanged);
}
process.exitCode = isRight ? 0 : 1;
