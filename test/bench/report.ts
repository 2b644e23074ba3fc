export async function describeRun(a: readonly string[]) {
  return {};
}
export async function writeReport(a: readonly string[]) {
  return 0;
}
