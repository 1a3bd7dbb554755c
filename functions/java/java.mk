# Targets of the Java contender, included by the root's Makefile. Nothing else
# needs them. The versions of plugins and libraries are pinned in pom.xml.
JAVA_SOURCES := functions/java/pom.xml functions/java/build $(shell find functions/java/src -name '*.java')

.PHONY: java
java: build/java.jar ## build the Java contender into build/ (needs Maven and JDK 21 or newer)

build/java.jar: $(JAVA_SOURCES)
	functions/java/build -DskipTests package
	cp build/maven/java.jar $@
	@echo $@

.PHONY: lint-java
lint-java: java ## check the Java contender's format and unit tests (needs Maven and JDK 21 or newer)
	functions/java/build -Dout=../../build/maven-test spotless:check test

.PHONY: test-java
test-java: build java ## check the Java contender against the contract
	bin/fanout check --contender java=build/java.jar,runtime=java25,handler=fanout.Handler

CI_TOGETHER += java lint-java
CI_ALONE += test-java
