//go:build !nosdk

package main

import _ "fanout/functions/store/sdk" // the clients stock and tuned, 4 MB
