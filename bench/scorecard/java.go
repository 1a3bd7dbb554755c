package main

import (
	"context"
	"encoding/xml"
	"fmt"
	"os"
	"regexp"

	"fanout/functions/store"
)

// java has both its clients in one package. The newest JDK on this machine
// builds it, which may be another than the one on PATH.
func java() language {
	return language{
		name: "Java", contender: "java",
		tools:   []tool{{"java", "apt-get install openjdk-21-jdk-headless"}, {"mvn", "apt-get install maven"}},
		version: []string{"sh", "-c", "functions/java/build --version | grep 'Java version'"},
		code:    "build/java.jar", managed: ",runtime=java25,handler=fanout.Handler",
		clients: []string{store.Lean, store.Tuned},
		variants: []variant{{
			name: "Java", client: store.Lean,
			about: "its own client on SSLSocket and virtual threads (`lean`), and the AWS SDK for Java 2.x (`tuned`), " +
				"run by this machine's Java as runtime java25",
			handler: []string{"functions/java/src/main/java/*/*.java"}, tests: []string{"functions/java/src/test/java/*/*.java"},
			dependencies: mavenArtifacts,
			build: build{
				prepare: [][]string{mavenBuild, {"rm", "-rf", "build/maven"}}, // Maven keeps what it downloads
				command: mavenBuild, folder: ".",
				changed: "functions/java/src/main/java/fanout/Handler.java", line: "\n// %d\n",
			},
			zip: "java.jar",
			format: check{
				folder: ".", command: []string{"functions/java/build", "-Dout=../../build/maven-test", "spotless:check"},
				found: `(?m)^\[ERROR\]\s+src/\S+\.java$`,
			},
		}},
	}
}

// mavenBuild makes the package.
var mavenBuild = []string{"functions/java/build", "-DskipTests", "package"}

// mavenArtifacts counts what pom.xml names, but for tests, and what that brings.
func mavenArtifacts(ctx context.Context, m *measurer) (direct, total int, err error) {
	text, err := os.ReadFile("functions/java/pom.xml")
	if err != nil {
		return 0, 0, err
	}
	var pom struct {
		Dependencies []struct {
			Scope string `xml:"scope"`
		} `xml:"dependencies>dependency"`
	}
	if err := xml.Unmarshal(text, &pom); err != nil {
		return 0, 0, fmt.Errorf("functions/java/pom.xml: %w", err)
	}
	for _, d := range pom.Dependencies {
		if d.Scope != "test" {
			direct++
		}
	}
	out, err := m.exec(ctx, ".", nil, "functions/java/build", "dependency:list", "-DincludeScope=runtime")
	if err != nil {
		return 0, 0, err
	}
	return direct, len(mavenArtifact.FindAll(out, -1)), nil
}

// mavenArtifact is a line of dependency:list.
var mavenArtifact = regexp.MustCompile(`(?m)^\[INFO\]    \S+:jar:\S+:(compile|runtime)\b`)
