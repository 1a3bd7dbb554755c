//go:build release

package bootstrap

import "embed"

// packages are the zips that .ci/release lays over this folder:
// COMMAND-ARCHITECTURE.zip, as Lambda takes them.
//
//go:embed *.zip
var packages embed.FS
