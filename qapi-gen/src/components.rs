//! Circles in graphs.

/// The strongly connected components of a graph.
pub(crate) struct Components {
    /// For each node the number of its component.
    pub(crate) of: Vec<usize>,
    /// The nodes of one component after those of the other.
    nodes: Vec<usize>,
    ends: Vec<usize>,
}

impl Components {
    /// The nodes of each component, contained components first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[usize]> {
        let starts = std::iter::once(&0).chain(&self.ends);
        let ranges = starts.zip(&self.ends);
        ranges.map(|(start, end)| &self.nodes[*start..*end])
    }
}

/// Finds them as Tarjan does, without recursion.
pub(crate) fn components(edges: &[Vec<usize>]) -> Components {
    // There are fewer nodes than bytes of a schema, which fit 32 bits.
    const UNSEEN: u32 = u32::MAX;
    let n_nodes = edges.len();
    let mut index = vec![UNSEEN; n_nodes];
    let mut low = vec![0_u32; n_nodes];
    let mut is_open = vec![false; n_nodes];
    let mut open = Vec::new();
    let mut component = vec![0; n_nodes];
    let mut nodes = Vec::with_capacity(n_nodes);
    let mut ends = Vec::new();
    let mut n_seen = 0;
    for root in 0..n_nodes {
        if index[root] != UNSEEN {
            continue;
        }
        // Node and position of the next edge.
        let mut path = vec![(root, 0)];
        while let Some(&mut (node, ref mut edge)) = path.last_mut() {
            if *edge == 0 && index[node] == UNSEEN {
                index[node] = n_seen;
                low[node] = n_seen;
                n_seen += 1;
                open.push(node);
                is_open[node] = true;
            }
            if let Some(&next) = edges[node].get(*edge) {
                *edge += 1;
                if index[next] == UNSEEN {
                    path.push((next, 0));
                } else if is_open[next] {
                    low[node] = low[node].min(index[next]);
                }
                continue;
            }
            path.pop();
            if let Some(&(parent, _)) = path.last() {
                low[parent] = low[parent].min(low[node]);
            }
            if low[node] == index[node] {
                let start = nodes.len();
                while let Some(member) = open.pop() {
                    is_open[member] = false;
                    component[member] = ends.len();
                    nodes.push(member);
                    if member == node {
                        break;
                    }
                }
                nodes[start..].reverse();
                ends.push(nodes.len());
            }
        }
    }
    Components {
        of: component,
        nodes,
        ends,
    }
}

#[cfg(test)]
mod tests {
    use super::components;

    #[test]
    fn cycles_are_components() {
        let edges = vec![vec![1], vec![2], vec![1, 3], vec![], vec![4]];
        let found = components(&edges);
        let component = &found.of;
        assert_eq!(component[1], component[2]);
        assert_ne!(component[0], component[1]);
        assert_eq!(found.iter().count(), 4);
        assert!(component[3] < component[1] && component[1] < component[0]);
    }
}
