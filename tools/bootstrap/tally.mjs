/**
 * Counts what a vitest run came to, from its JSON report and its exit code, and says which of its
 * files took longest. Pure: text in, numbers and lines out. Called by `run-tests.mjs`.
 */

const SLOWEST_COUNT = 10;

/** @typedef {{ passed: number, failed: number, skipped: number, problems: string[] }} Tally */

/**
 * A test file that could not be loaded counts as one failed test, and so does whatever made vitest
 * end with an error though no test failed, or run no test at all. `problems` says which.
 *
 * @param {string | undefined} report The JSON, or nothing when vitest wrote none.
 * @param {number} exitCode
 * @returns {Tally}
 */
export function tallyReport(report, exitCode) {
  /** @type {Tally} */
  const tally = { passed: 0, failed: 0, skipped: 0, problems: [] };
  for (const file of parseFiles(report)) {
    const failedBefore = tally.failed;
    for (const { status } of file.assertionResults) {
      if (status === "passed") tally.passed++;
      else if (status === "failed") tally.failed++;
      else tally.skipped++;
    }
    if (file.status === "failed" && tally.failed === failedBefore) {
      fail(tally, `The test file ${file.name} failed outside its tests.`);
    }
  }
  if (tally.passed + tally.failed === 0) fail(tally, "No test ran.");
  if (exitCode !== 0 && tally.failed === 0) {
    fail(tally, `Vitest ended with exit code ${exitCode} though no test failed.`);
  }
  return tally;
}

/**
 * The files that took longest, one line each, the slowest first. How long the machine's other work
 * made them is in it: it is for people who want a shorter run, and nothing is decided by it.
 *
 * @param {string | undefined} report The JSON, or nothing when vitest wrote none.
 * @param {string} root What the names of files begin with, and the lines do not.
 * @returns {string[]}
 */
export function slowestFiles(report, root) {
  return parseFiles(report)
    .map(({ name, startTime, endTime }) => ({ name, seconds: (endTime - startTime) / 1000 }))
    .sort((a, b) => b.seconds - a.seconds)
    .slice(0, SLOWEST_COUNT)
    .map(({ name, seconds }) => {
      const path = name.startsWith(root) ? name.slice(root.length).replace(/^[\\/]/, "") : name;
      return `${seconds.toFixed(1).padStart(8)} s  ${path}`;
    });
}

/** The last line of a run. @param {{ passed: number, failed: number, skipped: number }} counts */
export function closingLine({ passed, failed, skipped }) {
  const line = `${passed} passed, ${failed} failed`;
  return skipped === 0 ? line : `${line}, ${skipped} skipped`;
}

/**
 * @typedef {object} FileReport
 * @property {string} name
 * @property {string} status
 * @property {number} startTime In milliseconds, as `endTime`.
 * @property {number} endTime
 * @property {{ status: string }[]} assertionResults
 */

/**
 * @param {string | undefined} report
 * @returns {FileReport[]} Nothing for a report that is missing or cut short.
 */
function parseFiles(report) {
  try {
    const { testResults } = JSON.parse(report ?? "");
    return Array.isArray(testResults) ? testResults : [];
  } catch {
    return [];
  }
}

/**
 * @param {Tally} tally
 * @param {string} problem
 */
function fail(tally, problem) {
  tally.failed++;
  tally.problems.push(problem);
}
