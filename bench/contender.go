package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"fanout/bench/internal/bootstrap"
	"fanout/bench/internal/lab"
	"fanout/functions/lambda"
	"fanout/functions/outputs"
	"fanout/functions/store"
)

// contenderGrammar is how a contender is named, in the help and in errors.
const contenderGrammar = "`NAME=PATH`[,runtime=R,handler=H][,client=C]"

// contenderHelp says what that means.
const contenderHelp = `A contender is a bootstrap (an executable or a #! script), or a folder or zip
with one. For a managed runtime it is a folder, zip or jar, and has a runtime,
such as python3.13, nodejs24.x or java25, and a handler: module.function,
index.handler or pkg.Class::method. This machine's interpreter runs it, and
the report says which version that was. One that has only some of the clients
that --client asks for names each: client=lean,client=tuned.`

// parseContenders reads each. Names must be different.
func parseContenders(texts []string) ([]lab.Contender, error) {
	var all []lab.Contender
	for _, text := range texts {
		c, err := parseContender(text)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(all, func(o lab.Contender) bool { return o.Name == c.Name }) {
			return nil, fmt.Errorf("contender %q: named twice", c.Name)
		}
		all = append(all, c)
	}
	return all, nil
}

// contenderOption is the last option of a contender. Only the words that there
// are end a path, which may have commas.
var contenderOption = regexp.MustCompile(`^(.*),(runtime|handler|client)=([^,]*)$`)

// parseContender reads NAME=PATH[,runtime=R,handler=H][,client=C]. A name goes
// into a function's name; client may be repeated.
func parseContender(text string) (lab.Contender, error) {
	name, path, ok := strings.Cut(text, "=")
	options := map[string]string{}
	var clients []string
	for m := contenderOption.FindStringSubmatch(path); m != nil; m = contenderOption.FindStringSubmatch(path) {
		if path = m[1]; m[2] == "client" {
			clients = slices.Insert(clients, 0, m[3]) // they are read from the end
			continue
		}
		if _, twice := options[m[2]]; twice {
			return lab.Contender{}, fmt.Errorf("contender %q: %s is given twice", text, m[2])
		}
		options[m[2]] = m[3]
	}
	if !ok || path == "" {
		return lab.Contender{}, fmt.Errorf("contender %q: must be %s", text, strings.ReplaceAll(contenderGrammar, "`", ""))
	}
	if len(name) < 1 || len(name) > 32 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return lab.Contender{}, fmt.Errorf("contender name %q: 1 to 32 letters, digits, - and _", name)
	}
	c := lab.Contender{
		Name: name, Path: func(string) string { return path }, Help: "check the path after " + name + "=",
		Runtime: options["runtime"], Handler: options["handler"], Clients: clients,
	}
	for i, client := range clients {
		if !store.Known(client) {
			return lab.Contender{}, fmt.Errorf("contender %s: client %q: must be one of %v", name, client, store.Names)
		}
		if slices.Contains(clients[:i], client) {
			return lab.Contender{}, fmt.Errorf("contender %q: client %s is given twice", text, client)
		}
	}
	if err := checkRuntime(c); err != nil {
		return lab.Contender{}, fmt.Errorf("contender %s: %w", name, err)
	}
	if m := regexp.MustCompile(`,([A-Za-z]+)=[^,/]*$`).FindStringSubmatch(path); m != nil {
		if _, err := os.Stat(path); err != nil { // not a path of that name, then
			return lab.Contender{}, fmt.Errorf("contender %s: option %q: must be runtime, handler or client", name, m[1])
		}
	}
	return c, nil
}

// parseEnv reads NAME=VALUE of each. Values may be secrets, and are in no error.
func parseEnv(texts []string) (map[string]string, error) {
	env := map[string]string{}
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, errors.New("env: must be NAME=VALUE")
		}
		if _, twice := env[name]; twice {
			return nil, fmt.Errorf("env %s: given twice", name)
		}
		env[name] = value
	}
	return env, nil
}

// checkRuntime says what is wrong with a contender's runtime and handler.
func checkRuntime(c lab.Contender) error {
	rt, err := lambda.ParseRuntime(cmp.Or(c.Runtime, lambda.ProvidedAL2023))
	if err != nil {
		return err
	}
	if c.Runtime == "" && c.Handler != "" {
		return fmt.Errorf("handler %q needs a runtime, such as runtime=python3.13", c.Handler)
	}
	return rt.CheckHandler(c.Handler)
}

// ownContender is this repository's own bootstrap: in the command itself, or
// where make build puts it.
func ownContender() lab.Contender {
	return lab.Contender{
		Name:     outputs.GoContender,
		Embedded: bootstrap.Embedded("fetch"),
		Path:     func(arch string) string { return bootstrap.Path("fetch", arch) },
		Help:     "build it first: make build (for the other architecture: make package)",
	}
}
