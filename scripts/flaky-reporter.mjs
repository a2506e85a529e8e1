// A reporter of vitest: what a test that passed at a later try had failed with. Without it a defect that shows itself
// now and then is a mere `retry x1`.

/** Prints as the tests end, beside vitest's own reporter. */
export default class FlakyReporter {
  onTestCaseResult(test) {
    if (!test.diagnostic()?.flaky) return;
    const errors = test.result().errors ?? [];
    const told = errors.map(({ message, stacks }) => [message, ...(stacks ?? []).map(inWords)].join('\n    '));
    process.stdout.write(`FLAKY ${test.module.relativeModuleId} > ${test.fullName}\n  ${told.join('\n  ')}\n`);
  }
}

function inWords({ file, line, column }) {
  return `at ${file}:${line}:${column}`;
}
