/** Why a package's native part cannot be loaded, and the ways out, in one line. */

/** Its message is a line for people. */
export class NativePartError extends Error {
  override readonly name = 'NativePartError';
}

/** Where the program runs. */
export interface Machine {
  platform: string;
  arch: string;
  /** The version of glibc, `undefined` with another C library. */
  glibc: string | undefined;
}

export function thisMachine(): Machine {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  const { platform, arch } = process;
  return { platform, arch, glibc: header.glibcVersionRuntime };
}

/**
 * @param what the part is for, as in "the store"
 * @param packageName of the package, whose native parts for each machine are packages `@NAME/NAME-PLATFORM-ARCH`
 * @param error from loading it
 */
export function nativePartError(
  what: string,
  packageName: string,
  error: Error,
  { platform, arch, glibc }: Machine,
): NativePartError {
  const machine = `${platform} ${arch}, ${glibc === undefined ? 'no glibc' : `glibc ${glibc}`}`;
  const [reason, wayOut] = reasonOf(error.message, packageName, { platform, arch, glibc });
  const head = `The native part of ${what} (package ${packageName}) cannot be loaded on this machine (${machine})`;
  return new NativePartError(`${head}: ${reason}. ${wayOut}`, { cause: error });
}

/** @returns the reason, and a sentence with what to do */
function reasonOf(text: string, packageName: string, { platform, arch, glibc }: Machine): [string, string] {
  const file = `node_modules/${packageName}/prebuilds/${platform}-${arch}/node.napi.${glibc === undefined ? 'musl' : 'glibc'}.node`;
  const built = `put one that was built for this machine from the sources of ${packageName} into the installation, as ${file}.`;
  const [, library, version] = /version [`']?(GLIBC|GLIBCXX|CXXABI)_([\d.]+)'? not found/.exec(text) ?? [];
  if (library !== undefined) {
    const name = library === 'GLIBC' ? 'glibc' : `libstdc++ with ${library}`;
    return [
      `it needs ${name} ${version} or later`,
      `Use a newer system (Debian 12, Raspberry Pi OS 12, Ubuntu 22.04 or later), or ${built}`,
    ];
  }
  const missing =
    /(?:Error loading shared library |^)([\w.+-]+\.so[\w.]*): (?:No such file|cannot open shared)/.exec(
      text,
    )?.[1];
  if (missing !== undefined) {
    return [
      `the library ${missing} is missing`,
      'Install the package of this system that has it, such as libstdc++.',
    ];
  }
  if (/No native build was found/.test(text)) {
    return [
      `there is none for it in the installation (package @${packageName}/${packageName}-${platform}-${arch})`,
      `Install again on this machine, without --omit=optional; if there is none for its kind, ${built}`,
    ];
  }
  if (/Cannot find (module|package)/.test(text)) {
    return [`the package is missing`, 'The installation is not complete: install again.'];
  }
  if (
    /invalid ELF header|wrong ELF class|Exec format error|file too short|cannot open shared object file/.test(
      text,
    )
  ) {
    return [
      `its file is damaged or for another kind of machine (${firstLine(text)})`,
      'Install again on this machine.',
    ];
  }
  return [firstLine(text), `Install again on this machine, or ${built}`];
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0]!.replace(/\.$/, '');
}
