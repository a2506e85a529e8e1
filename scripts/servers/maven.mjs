// Jars of a server and of what it needs, by the machine's own Maven.
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { missingNeeds, remedyFor } from '../setup-system.mjs';

const copyDependencies = 'org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies';
const limitMs = 15 * 60_000;

/** What this machine lacks to install and run servers made of Java: `{ what, command }`, or undefined. */
export function javaObstacle() {
  const missing = missingNeeds('servers').filter((need) => need.tier === 'servers');
  if (missing.length === 0) return undefined;
  return { what: `system packages ${missing.map((need) => need.name).join(' ')}`, command: remedyFor(missing) };
}

/** Copies artifacts ("group:artifact:version") and what they need at run time into `folder`/lib. Rejects with Maven's words. */
export async function fetchJars(folder, artifacts) {
  const dependencies = artifacts.map((artifact) => {
    const [group, name, version] = artifact.split(':');
    return `<dependency><groupId>${group}</groupId><artifactId>${name}</artifactId><version>${version}</version></dependency>`;
  });
  const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>jitterscope</groupId><artifactId>server</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>${dependencies.join('\n')}</dependencies></project>\n`;
  writeFileSync(join(folder, 'pom.xml'), pom);
  const args = ['-q', '-B', copyDependencies, '-DincludeScope=runtime', `-DoutputDirectory=${join(folder, 'lib')}`];
  try {
    await promisify(execFile)('mvn', args, { cwd: folder, timeout: limitMs, maxBuffer: 64 * 1024 * 1024 });
  } catch (thrown) {
    const words = `${thrown.stdout ?? ''}${thrown.stderr ?? ''}`.split('\n').filter((line) => line.startsWith('[ERROR]'));
    throw new Error(`Maven could not fetch ${artifacts.join(', ')}: ${words.slice(0, 4).join(' ') || thrown.message}`, { cause: thrown });
  }
}
