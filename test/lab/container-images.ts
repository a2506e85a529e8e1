import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { labFile } from './lab-owner.ts';

export const pauseImage = 'test.local/pause:1';
export const busyboxImage = 'test.local/busybox:1';

const busybox = '/bin/busybox';
const applets = ['sh', 'sleep', 'nc', 'wget', 'httpd', 'ip', 'cat', 'echo', 'true', 'mkdir', 'mount'];

/** Builds the lab's two images, without a registry: a sandbox's first process, and busybox. Returns the archives. */
export function buildImages(folder: string): string[] {
  const pause = rootFs(folder, 'pause');
  execFileSync('cc', ['-static', '-O2', '-s', '-o', join(pause, 'pause'), labFile('pause.c')]);
  if (!existsSync(busybox)) throw new Error(`${busybox} is missing: apt-get install busybox-static`);
  const box = rootFs(folder, 'busybox');
  mkdirSync(join(box, 'bin'));
  mkdirSync(join(box, 'www'));
  writeFileSync(join(box, 'www', 'index.html'), 'ok\n');
  copyFileSync(busybox, join(box, 'bin', 'busybox'));
  for (const applet of applets) symlinkSync('busybox', join(box, 'bin', applet));
  return [archive(folder, pauseImage, pause, ['/pause']), archive(folder, busyboxImage, box, ['/bin/sh'])];
}

function rootFs(folder: string, name: string): string {
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  return path;
}

/** One layer in the form of `docker save`. */
function archive(folder: string, name: string, root: string, entrypoint: readonly string[]): string {
  const work = mkdtempSync(join(folder, 'image-'));
  execFileSync('tar', ['--sort=name', '--owner=0', '--group=0', '--numeric-owner', '-C', root, '-cf', join(work, 'layer.tar'), '.']);
  const layer = createHash('sha256')
    .update(readFileSync(join(work, 'layer.tar')))
    .digest('hex');
  const config = {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Env: ['PATH=/bin'], Entrypoint: entrypoint, WorkingDir: '/' },
    rootfs: { type: 'layers', diff_ids: [`sha256:${layer}`] },
  };
  writeFileSync(join(work, 'config.json'), JSON.stringify(config));
  writeFileSync(join(work, 'manifest.json'), JSON.stringify([{ Config: 'config.json', RepoTags: [name], Layers: ['layer.tar'] }]));
  const file = `${root}.tar`;
  execFileSync('tar', ['-C', work, '-cf', file, 'manifest.json', 'config.json', 'layer.tar']);
  rmSync(work, { recursive: true });
  return file;
}
