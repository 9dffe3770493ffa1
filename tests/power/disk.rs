//! What a disk holds, and what is left of it when its power is cut: files as they are seen,
//! as they are for ever, and the writes between the two. As strict as POSIX allows: the
//! content of a file is there for ever when that file is flushed, its name when its
//! directory is.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::common::random::Random;

/// The number of the root directory.
pub const ROOT: u64 = 1;
/// What a disk writes whole, in bytes.
const SECTOR: usize = 512;

/// What is flushed although the program asks for it, and what is not: controls for the
/// tests, which must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Honest {
    /// All is flushed.
    Yes,
    /// All but files of this name.
    But(&'static str),
    /// Nothing is.
    No,
}

/// See the module.
pub struct Disk {
    nodes: BTreeMap<u64, Node>,
    next: u64,
    /// Changes of directories that are not there for ever yet, in their order.
    journal: Vec<Change>,
    honest: Honest,
    /// Whether its power has been cut.
    off: bool,
}

/// A file, or whatever has a name.
#[derive(Clone)]
pub struct Node {
    /// The name it was given first.
    name: OsString,
    /// Its mode, with its type.
    pub mode: u32,
    pub body: Body,
}

#[derive(Clone)]
pub enum Body {
    File(File),
    Directory(Directory),
    Link(PathBuf),
    /// A socket or pipe: all that it is, is elsewhere.
    Special,
}

#[derive(Clone, Default)]
pub struct File {
    pub seen: Vec<u8>,
    durable: Vec<u8>,
    between: Vec<Write>,
}

#[derive(Clone)]
enum Write {
    At(usize, Vec<u8>),
    Size(usize),
}

#[derive(Clone, Default)]
pub struct Directory {
    pub seen: BTreeMap<OsString, u64>,
    durable: BTreeMap<OsString, u64>,
}

/// What happens to names at once: a rename is one thing.
#[derive(Clone)]
struct Change(Vec<(u64, OsString, Option<u64>)>);

impl Disk {
    pub fn new() -> Disk {
        let root =
            Node { name: OsString::new(), mode: libc::S_IFDIR | 0o700, body: Body::Directory(Directory::default()) };
        Disk {
            nodes: BTreeMap::from([(ROOT, root)]),
            next: ROOT + 1,
            journal: Vec::new(),
            honest: Honest::Yes,
            off: false,
        }
    }

    pub fn set_honest(&mut self, honest: Honest) {
        self.honest = honest;
    }

    pub fn is_off(&self) -> bool {
        self.off
    }

    pub fn node(&self, number: u64) -> Option<&Node> {
        self.nodes.get(&number)
    }

    pub fn node_mut(&mut self, number: u64) -> Option<&mut Node> {
        self.nodes.get_mut(&number)
    }

    pub fn directory(&self, number: u64) -> Option<&Directory> {
        match &self.nodes.get(&number)?.body {
            Body::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    pub fn lookup(&self, parent: u64, name: &OsStr) -> Option<u64> {
        self.directory(parent)?.seen.get(name).copied()
    }

    pub fn make(&mut self, parent: u64, name: &OsStr, mode: u32, body: Body) -> u64 {
        let number = self.next;
        self.next += 1;
        self.nodes.insert(number, Node { name: name.to_owned(), mode, body });
        self.change(Change(vec![(parent, name.to_owned(), Some(number))]));
        number
    }

    pub fn link(&mut self, number: u64, parent: u64, name: &OsStr) {
        self.change(Change(vec![(parent, name.to_owned(), Some(number))]));
    }

    pub fn unlink(&mut self, parent: u64, name: &OsStr) {
        self.change(Change(vec![(parent, name.to_owned(), None)]));
    }

    pub fn rename(&mut self, number: u64, from: (u64, &OsStr), to: (u64, &OsStr)) {
        self.change(Change(vec![(from.0, from.1.to_owned(), None), (to.0, to.1.to_owned(), Some(number))]));
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.nodes, |directory| &mut directory.seen);
        self.journal.push(change);
    }

    /// Writes into a file; `false` where it is none.
    pub fn write(&mut self, number: u64, at: usize, bytes: &[u8]) -> bool {
        self.put(number, Write::At(at, bytes.to_vec()))
    }

    /// Cuts a file or makes it longer; `false` where it is none.
    pub fn resize(&mut self, number: u64, size: usize) -> bool {
        self.put(number, Write::Size(size))
    }

    fn put(&mut self, number: u64, write: Write) -> bool {
        let Some(Node { body: Body::File(file), .. }) = self.nodes.get_mut(&number) else { return false };
        write.apply(&mut file.seen);
        file.between.push(write);
        true
    }

    /// Makes a file's content last.
    pub fn flush(&mut self, number: u64) {
        let Some(node) = self.nodes.get_mut(&number) else { return };
        let honest = match self.honest {
            Honest::Yes => true,
            Honest::But(name) => node.name != name,
            Honest::No => false,
        };
        if let (Body::File(file), true) = (&mut node.body, honest) {
            file.between.drain(..).for_each(|write| write.apply(&mut file.durable));
        }
    }

    /// Makes a directory's names last, and what they stand on: of a rename into it, what
    /// happened to the other directory before.
    pub fn flush_directory(&mut self, number: u64) {
        if self.honest == Honest::No {
            return;
        }
        let mut directories = BTreeSet::from([number]);
        let mut due = vec![false; self.journal.len()];
        for (index, change) in self.journal.iter().enumerate().rev() {
            if change.0.iter().any(|(directory, ..)| directories.contains(directory)) {
                directories.extend(change.0.iter().map(|(directory, ..)| *directory));
                due[index] = true;
            }
        }
        let mut due = due.into_iter();
        let (lasting, open) = std::mem::take(&mut self.journal).into_iter().partition(|_| due.next().unwrap_or(false));
        let lasting: Vec<Change> = lasting;
        self.journal = open;
        lasting.iter().for_each(|change| change.apply(&mut self.nodes, |directory| &mut directory.durable));
    }

    /// Cuts the power: what is on the disk when it comes back. Of what was not flushed
    /// nothing is there, or anything that a disk may have got to.
    pub fn cut(&mut self, random: &mut Random) -> Disk {
        self.off = true;
        let mut nodes = self.nodes.clone();
        if random.below(2) == 0 {
            let kept = random.below(self.journal.len() as u64 + 1) as usize;
            self.journal[..kept].iter().for_each(|change| change.apply(&mut nodes, |directory| &mut directory.durable));
        }
        let lazy = random.below(2) == 0;
        for node in nodes.values_mut() {
            match &mut node.body {
                Body::File(file) => {
                    let mut file = std::mem::take(file);
                    if lazy {
                        file.between.drain(..).for_each(|write| write.apply_some(&mut file.durable, random));
                    }
                    node.body =
                        Body::File(File { seen: file.durable.clone(), durable: file.durable, between: Vec::new() });
                }
                Body::Directory(directory) => directory.seen = directory.durable.clone(),
                Body::Link(_) | Body::Special => {}
            }
        }
        let mut disk = Disk { nodes, next: self.next, journal: Vec::new(), honest: self.honest, off: false };
        disk.forget_unnamed();
        disk
    }

    fn forget_unnamed(&mut self) {
        let (mut named, mut look) = (BTreeSet::from([ROOT]), vec![ROOT]);
        while let Some(number) = look.pop() {
            let names = self.directory(number).into_iter().flat_map(|directory| directory.seen.values().copied());
            look.extend(names.filter(|number| named.insert(*number)).collect::<Vec<_>>());
        }
        self.nodes.retain(|number, _| named.contains(number));
    }
}

impl Change {
    fn apply(&self, nodes: &mut BTreeMap<u64, Node>, names: impl Fn(&mut Directory) -> &mut BTreeMap<OsString, u64>) {
        for (directory, name, number) in &self.0 {
            if let Some(Node { body: Body::Directory(directory), .. }) = nodes.get_mut(directory) {
                match number {
                    Some(number) => names(directory).insert(name.clone(), *number),
                    None => names(directory).remove(name),
                };
            }
        }
    }
}

impl Write {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Write::At(at, bytes) => {
                let end = at + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*at..end].copy_from_slice(bytes);
            }
            Write::Size(size) => content.resize(*size, 0),
        }
    }

    /// Each of its sectors has got to the disk or has not.
    fn apply_some(&self, content: &mut Vec<u8>, random: &mut Random) {
        match self {
            Write::At(at, bytes) => {
                let mut begin = 0;
                while begin < bytes.len() {
                    let end = (begin + SECTOR - (at + begin) % SECTOR).min(bytes.len());
                    if random.below(2) == 0 {
                        Write::At(at + begin, bytes[begin..end].to_vec()).apply(content);
                    }
                    begin = end;
                }
            }
            Write::Size(_) if random.below(2) == 0 => self.apply(content),
            Write::Size(_) => {}
        }
    }
}

#[test]
fn what_is_not_flushed_may_be_gone() {
    let text = |disk: &Disk, name: &str| match &disk.node(disk.lookup(ROOT, name.as_ref())?)?.body {
        Body::File(file) => Some(String::from_utf8(file.seen.clone()).unwrap()),
        _ => None,
    };
    let (mut old, mut none) = (0, 0);
    for seed in 0..64 {
        let mut random = Random::seeded(seed);
        let mut disk = Disk::new();
        let kept = disk.make(ROOT, "kept".as_ref(), libc::S_IFREG, Body::File(File::default()));
        disk.write(kept, 0, b"once");
        disk.flush(kept);
        let nameless = disk.make(ROOT, "nameless".as_ref(), libc::S_IFREG, Body::File(File::default()));
        disk.flush_directory(ROOT);
        disk.write(kept, 0, b"more");
        disk.write(nameless, 0, b"text");
        let below = disk.make(ROOT, "below".as_ref(), libc::S_IFDIR, Body::Directory(Directory::default()));
        disk.rename(kept, (ROOT, "kept".as_ref()), (below, "moved".as_ref()));
        assert!(text(&disk, "kept").is_none());
        let left = disk.cut(&mut random);
        assert!(disk.is_off() && !left.is_off());
        let moved = left.lookup(below, "moved".as_ref()).is_some();
        assert_eq!(text(&left, "kept").is_none(), moved, "a rename is one thing");
        old += usize::from(text(&left, "kept").is_some_and(|text| text == "once"));
        none += usize::from(text(&left, "nameless").is_some_and(|text| text.is_empty()));
        // It is what is there for ever, from here on.
        let mut left = left;
        assert_eq!(text(&left.cut(&mut random), "nameless"), text(&left, "nameless"));
    }
    assert!((16..64).contains(&old) && (16..64).contains(&none), "{old} {none}");
}
