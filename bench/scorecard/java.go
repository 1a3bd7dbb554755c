package main

import (
	"context"
	"encoding/xml"
	"fmt"
	"os"

	"fanout/functions/store"
)

// java has both its clients in one package.
func java() language {
	return language{
		name: "Java", contender: "java",
		tools:   []tool{{"javac", "apt-get install default-jdk-headless"}, {"mvn", "apt-get install maven"}},
		version: []string{"javac", "--version"}, bootstrap: "build/java/bootstrap", clients: []string{store.Lean, store.Tuned},
		variants: []variant{{
			name: "Java", about: "its own client on SSLSocket (`lean`), and the AWS SDK for Java 2 (`tuned`)", client: store.Lean,
			handler: []string{"functions/java/src/main/java/*/*.java"}, tests: []string{"functions/java/src/test/java/*/*.java"},
			dependencies: func(context.Context, *measurer) (int, int, error) { return mavenArtifacts("functions/java/pom.xml") },
			build: build{
				prepare: [][]string{{"functions/java/build"}, {"rm", "-rf", "build/java", "functions/java/target"}}, // Maven keeps what it downloads
				command: []string{"functions/java/build"}, folder: ".",
				changed: "functions/java/src/main/java/fanout/Handler.java", line: "\n// %d\n",
			},
			zip: "java.zip",
		}},
	}
}

// mavenArtifacts counts what pom.xml names, but for tests.
func mavenArtifacts(file string) (direct, total int, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, 0, err
	}
	var pom struct {
		Dependencies []struct {
			Scope string `xml:"scope"`
		} `xml:"dependencies>dependency"`
	}
	if err := xml.Unmarshal(text, &pom); err != nil {
		return 0, 0, fmt.Errorf("%s: %w", file, err)
	}
	for _, d := range pom.Dependencies {
		if d.Scope != "test" {
			direct++
		}
	}
	return direct, direct, nil
}
