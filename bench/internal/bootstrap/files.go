//go:build !release

package bootstrap

import "embed"

// packages is empty: the bootstraps are files.
var packages embed.FS
