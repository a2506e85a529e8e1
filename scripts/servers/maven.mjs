// Jars and archives of servers, by the machine's own Maven.
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { missingNeeds, remedyFor } from '../setup-system.mjs';

const plugin = 'org.apache.maven.plugins:maven-dependency-plugin:3.6.1';
const copyDependencies = `${plugin}:copy-dependencies`;
const unpack = `${plugin}:unpack`;
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
  await maven(folder, artifacts.join(', '), [copyDependencies, '-DincludeScope=runtime', `-DoutputDirectory=${join(folder, 'lib')}`]);
}

/** Unpacks an archive ("group:artifact:version:zip") into `folder`. Rejects with Maven's words. */
export async function unpackArchive(folder, artifact) {
  // Notes of what is unpacked belong to the folder: elsewhere, a folder that is gone would be taken for unpacked.
  const notes = ['mdep.unpack.markersDirectory', 'markersDirectory'].map((name) => `-D${name}=${join(folder, '.markers')}`);
  await maven(folder, artifact, ['-C', unpack, `-Dartifact=${artifact}`, `-DoutputDirectory=${folder}`, ...notes]);
}

async function maven(folder, what, args) {
  try {
    await promisify(execFile)('mvn', ['-q', '-B', ...args], { cwd: folder, timeout: limitMs, maxBuffer: 64 * 1024 * 1024 });
  } catch (thrown) {
    const words = `${thrown.stdout ?? ''}${thrown.stderr ?? ''}`.split('\n').filter((line) => line.startsWith('[ERROR]'));
    throw new Error(`Maven could not fetch ${what}: ${words.slice(0, 4).join(' ') || thrown.message}`, { cause: thrown });
  }
}
