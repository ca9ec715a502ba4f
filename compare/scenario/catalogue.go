package scenario

import (
	"time"

	"strait/compare/link"
)

const (
	ms   = time.Millisecond
	kbit = 1000
	mbit = 1000 * kbit
	gbit = 1000 * mbit
	kib  = 1 << 10
)

// catalogue is ordered from the best link to the worst. Delays are to a gateway in the
// player's region unless About says otherwise.
var catalogue = []Scenario{
	{
		Name:  "lan",
		About: "one switch between player and gateway: what the programs themselves cost",
		Sources: []string{
			"IEEE Std 802.3, 1000BASE-T: the rate",
			"RFC 2544: what a switch is measured with; its delay is tens of microseconds",
		},
		Link: both(link.Settings{Delay: 150 * time.Microsecond, Jitter: 30 * time.Microsecond, Rate: gbit, Queue: 512 * kib}),
	},
	{
		Name:  "fiber",
		About: "fibre to the home, wired, not loaded",
		Sources: []string{
			"FCC, Measuring Broadband America, Fixed Broadband Reports: 11 to 15 ms there and back over fibre, loss mostly below 0.4 % at peak times",
		},
		Link: both(fiber),
	},
	{
		Name:  "cable-bufferbloat",
		About: "cable modem with large unmanaged buffers: fast while idle, 420 ms more while something fills the upstream",
		Sources: []string{
			"FCC, Measuring Broadband America, Fixed Broadband Reports: the idle round trip over cable",
			"Gettys and Nichols, Bufferbloat: Dark Buffers in the Internet, ACM Queue 9(11), 2011: the phenomenon",
			"Kreibich et al., Netalyzr: Illuminating the Edge Network, IMC 2010: upstream buffers of hundreds of milliseconds to seconds",
			"CableLabs CM-GL-Buffer-V01-110915, Cable Modem Buffer Control, and RFC 8034: how large modems' buffers are and should be",
		},
		Link: link.Config{
			Up:   link.Settings{Delay: 9 * ms, Jitter: 1500 * time.Microsecond, Distribution: link.Pareto, Loss: 0.0003, Rate: 10 * mbit, Queue: 512 * kib},
			Down: link.Settings{Delay: 9 * ms, Jitter: 500 * time.Microsecond, Distribution: link.Pareto, Loss: 0.0003, Rate: 200 * mbit, Queue: 2500 * kib},
		},
	},
	{
		Name:  "wifi-good",
		About: "fibre behind good Wi-Fi: near the access point, few neighbours",
		Sources: []string{
			"Sui et al., Characterizing and Improving WiFi Latency in Large-Scale Operational Networks, MobiSys 2016: a Wi-Fi hop takes 3 ms in the median and 20 ms at the 90th percentile, with a long tail",
			"FCC, Measuring Broadband America: the fibre behind it",
		},
		Link: both(link.Settings{Delay: 6500 * time.Microsecond, Jitter: 2 * ms, Distribution: link.Pareto, Loss: 0.001, Rate: 100 * mbit, Queue: kib * kib}),
	},
	{
		Name:  "wifi-bad",
		About: "fibre behind bad Wi-Fi: two walls away, a crowded channel",
		Sources: []string{
			"Pei et al., WiFi Can Be the Weakest Link of Round Trip Network Latency in the Wild, INFOCOM 2016: more than half of the packets over 20 ms on the Wi-Fi hop, a tenth over 100 ms",
			"Sui et al., MobiSys 2016: 250 ms at the 99th percentile",
			"Hasslinger and Hohlfeld, The Gilbert-Elliott Model for Packet Loss in Real Time Services on the Internet, MMB 2008: bursts",
			"Høiland-Jørgensen et al., Ending the Anomaly: Achieving Low Latency and Airtime Fairness in WiFi, USENIX ATC 2017: queues of hundreds of milliseconds",
		},
		Link: link.Config{
			Up:   wifiBad(10*mbit, 256*kib),
			Down: wifiBad(20*mbit, 512*kib),
		},
	},
	{
		Name:  "5g",
		About: "5G below 6 GHz in a city, standing still",
		Sources: []string{
			"Narayanan et al., A First Look at Commercial 5G Performance on Smartphones, WWW 2020, and A Variegated Look at 5G in the Wild, SIGCOMM 2021: little less delay than 4G, much more rate",
			"Rizvi, Heidemann and Plonka, Third-Party Assessment of Mobile Performance in the 5G Era, 2025: only the best 5 % of users regularly below 20 ms; 60 % below 50 Mbit/s",
		},
		Link: link.Config{
			Up:   link.Settings{Delay: 13 * ms, Jitter: 3 * ms, Distribution: link.Pareto, Loss: 0.0005, Rate: 20 * mbit, Queue: 512 * kib},
			Down: link.Settings{Delay: 10 * ms, Jitter: 2 * ms, Distribution: link.Pareto, Loss: 0.0005, Rate: 100 * mbit, Queue: 2048 * kib},
		},
	},
	{
		Name:  "4g",
		About: "LTE, standing still; the radio repeats what it loses, so that loss becomes delay",
		Sources: []string{
			"Huang et al., A Close Examination of Performance and Power Characteristics of 4G LTE Networks, MobiSys 2012: about 70 ms there and back, 13 Mbit/s down and 6 Mbit/s up in the median",
			"Jiang et al., Tackling Bufferbloat in 3G/4G Networks, IMC 2012: deep buffers",
		},
		Link: lte,
	},
	{
		Name:  "3g",
		About: "HSPA, standing still",
		Sources: []string{
			"Grigorik, High Performance Browser Networking, 2013, table 7-2: 0.5 to 5 Mbit/s, 100 to 500 ms",
			"Jiang et al., Tackling Bufferbloat in 3G/4G Networks, IMC 2012: deep buffers",
		},
		Link: link.Config{
			Up:   link.Settings{Delay: 75 * ms, Jitter: 15 * ms, Distribution: link.Pareto, Loss: 0.003, Rate: 800 * kbit, Queue: 64 * kib},
			Down: link.Settings{Delay: 55 * ms, Jitter: 10 * ms, Distribution: link.Pareto, Loss: 0.003, Rate: 3 * mbit, Queue: 256 * kib},
		},
	},
	{
		Name:  "intercontinental",
		About: "a wired player on the wrong side of an ocean",
		Sources: []string{
			"Verizon, IP Latency Statistics, monthly: about 70 ms across the Atlantic and 110 ms and more across the Pacific between backbone hubs, there and back, to which access adds on both sides",
			"Martínez et al., Round Trip Time (RTT) Delay in the Internet: Analysis and Trends, arXiv 2301.07788, 2023: between continents",
		},
		Link: link.Config{
			Up:   link.Settings{Delay: 80 * ms, Jitter: ms, Loss: 0.001, Rate: 40 * mbit, Queue: 512 * kib},
			Down: link.Settings{Delay: 80 * ms, Jitter: ms, Loss: 0.001, Rate: 100 * mbit, Queue: 1024 * kib},
		},
	},
	{
		Name:  "satellite",
		About: "satellites in low orbit, which hand the player on every 15 seconds",
		Sources: []string{
			"Michel et al., A First Look at Starlink Performance, IMC 2022: 50 ms there and back in the median, half of it between 40 and 60 ms; loss without load below 1 %",
			"Mohan et al., A Multifaceted Look at Starlink Performance, WWW 2024: reconfiguration every 15 seconds",
			"Kassem et al., A Browser-side View of Starlink Connectivity, IMC 2022: loss comes with handovers",
		},
		Link: link.Config{
			Up:        link.Settings{Delay: 25 * ms, Jitter: 5 * ms, Loss: 0.002, Rate: 15 * mbit, Queue: 256 * kib},
			Down:      link.Settings{Delay: 22 * ms, Jitter: 5 * ms, Loss: 0.002, Rate: 150 * mbit, Queue: 2048 * kib},
			Blackouts: []link.Blackout{{At: 4 * time.Second, For: 100 * ms, Every: 15 * time.Second}},
		},
	},
	{
		Name:  "satellite-geo",
		About: "a satellite in geostationary orbit",
		Sources: []string{
			"RFC 2488 section 2: 239.6 to 279.0 ms one way by distance alone",
			"Michel et al., A First Look at Starlink Performance, IMC 2022: about 600 ms there and back over a geostationary access with 100 and 10 Mbit/s",
		},
		Link: link.Config{
			Up:   link.Settings{Delay: 300 * ms, Jitter: 5 * ms, Loss: 0.0005, Rate: 10 * mbit, Queue: 512 * kib},
			Down: link.Settings{Delay: 290 * ms, Jitter: 5 * ms, Loss: 0.0005, Rate: 100 * mbit, Queue: 4096 * kib},
		},
	},
	{
		Name:  "mobile-handover",
		About: "a phone leaves Wi-Fi: nothing for a second, then 4G, with another address",
		Sources: []string{
			"Huang et al., MobiSys 2012, and Jiang et al., IMC 2012: the 4G link, which it has all the time so that the change alone shows",
			"Söderman et al., Handover in the Wild: The Feasibility of Vertical Handover in Commodity Smartphones, and Sanchez et al., How Does My Smartphone Manage Network Connections?: from hundreds of milliseconds to many seconds between networks",
			"RFC 9000 section 9: what a transport can do about the address",
		},
		Link: handover,
	},
	{
		Name:  "udp-blocked",
		About: "fibre behind a firewall that loses all UDP without a word",
		Sources: []string{
			"RFC 9308 section 2, and Langley et al., The QUIC Transport Protocol, SIGCOMM 2017: a few of a hundred networks block UDP",
		},
		Link: link.Config{Up: fiber, Down: fiber, BlockUDP: true},
	},
}

var (
	fiber = link.Settings{Delay: 6 * ms, Jitter: 500 * time.Microsecond, Loss: 0.0001, Rate: 300 * mbit, Queue: kib * kib}
	lte   = link.Config{
		Up:   link.Settings{Delay: 29 * ms, Jitter: 6 * ms, Distribution: link.Pareto, Loss: 0.001, Rate: 6 * mbit, Queue: 256 * kib},
		Down: link.Settings{Delay: 21 * ms, Jitter: 4 * ms, Distribution: link.Pareto, Loss: 0.001, Rate: 13 * mbit, Queue: 512 * kib},
	}
	handover = link.Config{
		Up: lte.Up, Down: lte.Down,
		Blackouts:      []link.Blackout{{At: 5 * time.Second, For: time.Second}},
		AddressChanges: []time.Duration{6 * time.Second},
	}
)

func both(s link.Settings) link.Config { return link.Config{Up: s, Down: s} }

func wifiBad(rate int64, queue int) link.Settings {
	return link.Settings{
		Delay: 7 * ms, Jitter: 12 * ms, Distribution: link.Pareto,
		Loss: 0.01, Burst: link.Burst{P: 0.003, R: 0.3}, Rate: rate, Queue: queue,
	}
}
