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
test-java: build java ## check the Java contender's own client against the contract
	bin/fanout check --contender java=build/java.jar,runtime=java25,handler=fanout.Handler --client lean

# Debian 12 has no JDK of 21 or newer that CI could install: where there is none,
# CI says at its end that Java was not checked.
ifneq ($(shell functions/java/build javac 2>/dev/null),)
CI_TOGETHER += java lint-java
CI_ALONE += test-java
else
CI_ALONE += no-java
endif

.PHONY: no-java
no-java:
	@echo "warning: Java was not checked: no JDK 21 or newer"
