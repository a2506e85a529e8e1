'use strict';
// Runs before everything else, on whatever Node there is: nothing here is newer than Node 6.

var needed = [20, 19];

/** What is wrong with this version of Node ("16.3.0"), in one message with its remedy; undefined when it will do. */
function problemWith(version) {
  var parts = version.split('.').map(Number);
  if (parts[0] > needed[0] || (parts[0] === needed[0] && parts[1] >= needed[1])) return undefined;
  return (
    'jitterscope: found Node ' +
    version +
    ', need Node >= ' +
    needed.join('.') +
    '.\n' +
    'Install a newer one: https://nodejs.org/en/download lists a package for every system; with nvm it is `nvm install 22`.\n'
  );
}

/** Ends the process with exit code 69 (a system part is missing) when this Node is too old. */
function requireNode() {
  var problem = problemWith(process.versions.node);
  if (!problem) return;
  process.stderr.write(problem);
  process.exit(69);
}

module.exports = { problemWith: problemWith, requireNode: requireNode };
