'use strict';
// The one entry of every npm script: `node scripts/main.cjs <script> [args]` runs main(args) of scripts/<script>.mjs.
// CommonJS, so that a Node too old for the scripts themselves still says so.
require('./node-version.cjs').requireNode();

import('./' + process.argv[2] + '.mjs')
  .then((script) => script.main(process.argv.slice(3)))
  .then((exitCode) => {
    if (typeof exitCode === 'number') process.exitCode = exitCode;
  });
