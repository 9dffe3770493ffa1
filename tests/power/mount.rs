//! The disk as a file system that programs can use, by FUSE.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use nix::mount::{MntFlags, umount2};

use super::common::random::Random;
use super::disk::{Body, Directory, Disk, File, Honest, Node};

/// How long the kernel believes what it was told: it alone changes anything.
const TTL: Duration = Duration::from_secs(1);
/// What is free on it, in blocks: more than anybody needs.
const FREE: u64 = 1 << 24;
const BLOCK: u32 = 4096;

/// A disk that is in use. It goes with the value.
pub struct Mounted {
    disk: Arc<Mutex<Disk>>,
    at: PathBuf,
    session: Option<BackgroundSession>,
}

impl Mounted {
    pub fn new(disk: Disk, at: &Path) -> io::Result<Mounted> {
        let disk = Arc::new(Mutex::new(disk));
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("power".into()), MountOption::DefaultPermissions];
        let session = fuser::spawn_mount(Served(Arc::clone(&disk)), at, &config)?;
        Ok(Mounted { disk, at: at.to_owned(), session: Some(session) })
    }

    pub fn set_honest(&self, honest: Honest) {
        self.disk.lock().unwrap().set_honest(honest);
    }

    /// From now on it answers nothing any more; what comes back with the power.
    pub fn cut(&self, random: &mut Random) -> Disk {
        self.disk.lock().unwrap().cut(random)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            // A killed process that is still going, and can no longer be told from others, may
            // have a file open: detached from here, the disk goes when that has gone.
            let gone = umount2(&self.at, MntFlags::MNT_DETACH).map_err(io::Error::from);
            let gone = gone.and_then(|()| match session.join() {
                // The kernel had closed the connection before the disk asked it for more work: it
                // is as gone as with the usual word for it.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => Ok(()),
                joined => joined,
            });
            assert!(gone.is_ok() || std::thread::panicking(), "{gone:?}");
        }
    }
}

struct Served(Arc<Mutex<Disk>>);

impl Served {
    /// The disk, unless its power is off.
    fn on(&self) -> Result<MutexGuard<'_, Disk>, Errno> {
        let disk = self.0.lock().unwrap();
        if disk.is_off() { Err(Errno::EIO) } else { Ok(disk) }
    }

    fn found(&self, parent: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
        let disk = self.on()?;
        let number = disk.lookup(parent.0, name).ok_or(Errno::ENOENT)?;
        attributes(&disk, number)
    }

    fn made(&self, parent: INodeNo, name: &OsStr, mode: u32, body: Body) -> Result<FileAttr, Errno> {
        let mut disk = self.on()?;
        if disk.lookup(parent.0, name).is_some() {
            return Err(Errno::EEXIST);
        }
        let number = disk.make(parent.0, name, mode, body);
        attributes(&disk, number)
    }

    fn removed(&self, parent: INodeNo, name: &OsStr) -> Result<(), Errno> {
        let mut disk = self.on()?;
        let number = disk.lookup(parent.0, name).ok_or(Errno::ENOENT)?;
        if disk.directory(number).is_some_and(|directory| !directory.seen.is_empty()) {
            return Err(Errno::ENOTEMPTY);
        }
        disk.unlink(parent.0, name);
        Ok(())
    }
}

fn attributes(disk: &Disk, number: u64) -> Result<FileAttr, Errno> {
    let Node { mode, body, .. } = disk.node(number).ok_or(Errno::ENOENT)?;
    let size = match body {
        Body::File(file) => file.seen.len() as u64,
        Body::Link(target) => target.as_os_str().len() as u64,
        Body::Directory(_) | Body::Special => 0,
    };
    Ok(FileAttr {
        ino: INodeNo(number),
        size,
        blocks: size.div_ceil(512),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: kind(*mode),
        perm: (mode & 0o7777) as u16,
        nlink: 1,
        uid: nix::unistd::geteuid().as_raw(),
        gid: nix::unistd::getegid().as_raw(),
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    })
}

fn kind(mode: u32) -> FileType {
    match mode & libc::S_IFMT {
        libc::S_IFDIR => FileType::Directory,
        libc::S_IFLNK => FileType::Symlink,
        libc::S_IFSOCK => FileType::Socket,
        libc::S_IFIFO => FileType::NamedPipe,
        _ => FileType::RegularFile,
    }
}

fn entry(reply: ReplyEntry, found: Result<FileAttr, Errno>) {
    match found {
        Ok(attributes) => reply.entry(&TTL, &attributes, Generation(0)),
        Err(error) => reply.error(error),
    }
}

fn empty(reply: ReplyEmpty, done: Result<(), Errno>) {
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        entry(reply, self.found(parent, name));
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.on().and_then(|disk| attributes(&disk, number.0)) {
            Ok(attributes) => reply.attr(&TTL, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let set = self.on().and_then(|mut disk| {
            if let (Some(mode), Some(node)) = (mode, disk.node_mut(number.0)) {
                node.mode = node.mode & libc::S_IFMT | mode & 0o7777;
            }
            if size.is_some_and(|size| !disk.resize(number.0, size as usize)) {
                return Err(Errno::EINVAL);
            }
            attributes(&disk, number.0)
        });
        match set {
            Ok(attributes) => reply.attr(&TTL, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn readlink(&self, _: &Request, number: INodeNo, reply: ReplyData) {
        match self.on() {
            Ok(disk) => match disk.node(number.0).map(|node| &node.body) {
                Some(Body::Link(target)) => reply.data(target.as_os_str().as_bytes()),
                _ => reply.error(Errno::EINVAL),
            },
            Err(error) => reply.error(error),
        }
    }

    fn mknod(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, _: u32, reply: ReplyEntry) {
        let body = if kind(mode) == FileType::RegularFile { Body::File(File::default()) } else { Body::Special };
        entry(reply, self.made(parent, name, mode & !umask, body));
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let mode = libc::S_IFDIR | mode & !umask & 0o7777;
        entry(reply, self.made(parent, name, mode, Body::Directory(Directory::default())));
    }

    fn symlink(&self, _: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        entry(reply, self.made(parent, name, libc::S_IFLNK | 0o777, Body::Link(target.to_owned())));
    }

    fn link(&self, _: &Request, number: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let linked = self.on().and_then(|mut disk| {
            if disk.lookup(parent.0, name).is_some() {
                return Err(Errno::EEXIST);
            }
            disk.link(number.0, parent.0, name);
            attributes(&disk, number.0)
        });
        entry(reply, linked);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, self.removed(parent, name));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, self.removed(parent, name));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        to_parent: INodeNo,
        to_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let renamed = self.on().and_then(|mut disk| {
            let number = disk.lookup(parent.0, name).ok_or(Errno::ENOENT)?;
            let there = disk.lookup(to_parent.0, to_name);
            if flags.contains(RenameFlags::RENAME_EXCHANGE) {
                return Err(Errno::EINVAL);
            }
            if there.is_some() && flags.contains(RenameFlags::RENAME_NOREPLACE) {
                return Err(Errno::EEXIST);
            }
            if there.and_then(|there| disk.directory(there)).is_some_and(|directory| !directory.seen.is_empty()) {
                return Err(Errno::ENOTEMPTY);
            }
            disk.rename(number, (parent.0, name), (to_parent.0, to_name));
            Ok(())
        });
        empty(reply, renamed);
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.on() {
            Ok(disk) => match disk.node(number.0).map(|node| &node.body) {
                Some(Body::File(file)) => {
                    let begin = file.seen.len().min(offset as usize);
                    reply.data(&file.seen[begin..file.seen.len().min(begin + size as usize)]);
                }
                _ => reply.error(Errno::EINVAL),
            },
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.on().map(|mut disk| disk.write(number.0, offset as usize, data)) {
            Ok(true) => reply.written(data.len() as u32),
            Ok(false) => reply.error(Errno::EINVAL),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        empty(reply, self.on().map(|_| ()));
    }

    fn fsync(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        empty(reply, self.on().map(|mut disk| disk.flush(number.0)));
    }

    fn fsyncdir(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        empty(reply, self.on().map(|mut disk| disk.flush_directory(number.0)));
    }

    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.on() {
            Ok(_) => reply.opened(FileHandle(0), FopenFlags::empty()),
            Err(error) => reply.error(error),
        }
    }

    fn readdir(&self, _: &Request, number: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let disk = match self.on() {
            Ok(disk) => disk,
            Err(error) => return reply.error(error),
        };
        let Some(directory) = disk.directory(number.0) else { return reply.error(Errno::ENOTDIR) };
        // By their numbers, which stay what they are when another goes.
        let mut entries: Vec<_> = directory.seen.iter().map(|(name, number)| (*number, name)).collect();
        entries.sort_unstable();
        for (number, name) in entries.into_iter().filter(|(number, _)| *number > offset) {
            let mode = disk.node(number).map_or(0, |node| node.mode);
            if reply.add(INodeNo(number), number, kind(mode), name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(FREE, FREE, FREE, FREE, FREE, BLOCK, 255, BLOCK);
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let mode = libc::S_IFREG | mode & !umask & 0o7777;
        match self.made(parent, name, mode, Body::File(File::default())) {
            Ok(attributes) => {
                reply.created(&TTL, &attributes, Generation(0), FileHandle(0), FopenFlags::empty());
            }
            Err(error) => reply.error(error),
        }
    }
}
